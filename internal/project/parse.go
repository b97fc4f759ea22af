package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/lazyregexp"
)

// maxFile is far more than anyone writes by hand.
const maxFile = 1 << 20

var (
	label = newPattern(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`,
		"lower-case letters, digits and dashes, at most 63")
	imageName = newPattern(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`,
		"a repository without tag or digest, such as myapp or acme/myapp")
	registry = newPattern(`^[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`,
		"a host and path without scheme, such as ghcr.io/acme")
	groupKind = newPattern(`^[A-Z][A-Za-z0-9]*(\.[a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$`,
		"KIND.GROUP, such as Certificate.cert-manager.io")
	publicKey = newPattern(`^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$`,
		"an SSH public key such as ssh-ed25519 AAAA…")
	duration = newPattern(`^([0-9]+(\.[0-9]+)?(h|m|s))+$`, "a time of at least a second, such as 30m or 2h")
	platform = newPattern(
		`^(darwin|freebsd|linux|windows)/(386|amd64|arm|arm64|loong64|mips64|mips64le|ppc64le|riscv64|s390x)(/v[0-9.]+)?$`,
		"OS/ARCH, such as linux/amd64")
	address = newPattern(`^(https?|oci)://[^/\s]+(/\S*)?$`,
		"an address such as https://charts.example.com or oci://ghcr.io/acme/charts")
	release = newPattern(`^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$`,
		"lower-case letters, digits and dashes, at most 53")
	kubeVersion = newPattern(`^v?\d+\.\d+(\.\d+)?([-+][0-9A-Za-z.+-]+)?$`, "a version such as 1.31 or v1.31.2")
	apiVersion  = newPattern(`^[a-z0-9.-]+(/[A-Za-z0-9]+){0,2}$`,
		"a version such as monitoring.coreos.com/v1, or a kind such as monitoring.coreos.com/v1/ServiceMonitor")
	assignment = newPattern(`^[^=]+=`, "KEY=VALUE")
	reference  = newPattern(
		`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[0-9A-Za-z_][0-9A-Za-z_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`,
		"an image such as ghcr.io/acme/cache:shop")
	variable   = newPattern(`^[A-Za-z_][A-Za-z0-9_]*$`, "the name of an environment variable")
	provenance = newPattern(`^(off|min|max)$`, "min, max or off")

	yamlLine = regexp.MustCompile(`line (\d+): `)
)

// pattern is a regular expression that a string must match, and its description in errors.
type pattern struct {
	words      string
	expression func() *regexp.Regexp
}

func newPattern(expression, words string) *pattern {
	return &pattern{words, lazyregexp.New(expression)}
}

func (p *pattern) matches(s string) bool { return p.expression().MatchString(s) }

// Parse reads the text of the project file in dir. Unknown keys are errors. It fails with a *FileError.
func Parse(dir string, text []byte) (Project, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Project{}, &FileError{File: File, Err: err}
	}
	defer root.Close()
	p := Project{Dir: dir, File: File}
	r := &reader{root: root}
	top, err := r.document(text)
	if err != nil {
		return Project{}, err
	}
	if err := r.project(&p, top); err != nil {
		return Project{}, err
	}
	return p, nil
}

// reader walks the file's nodes. Paths are looked up in root.
type reader struct{ root *os.Root }

func (r *reader) fail(n *yaml.Node, format string, args ...any) error {
	return &FileError{File: File, Line: n.Line, Err: fmt.Errorf(format, args...)}
}

func (r *reader) document(text []byte) (*yaml.Node, error) {
	if len(text) > maxFile {
		return nil, &FileError{File: File, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
	}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	err := stream.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, &FileError{File: File, Err: errors.New("the file is empty")}
	}
	if err == nil {
		if err = stream.Decode(&more); errors.Is(err, io.EOF) {
			return doc.Content[0], nil
		}
		if err == nil {
			return nil, r.fail(&more, "the file has more than one document")
		}
	}
	line, msg := syntaxError(err)
	return nil, &FileError{File: File, Line: line, Err: errors.New(msg)}
}

// syntaxError is the line of a YAML error, and the reason.
func syntaxError(err error) (line int, reason string) {
	line, reason = 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(reason); m != nil {
		line, _ = strconv.Atoi(m[1])
		// In these messages the parser counts from 0.
		if strings.Contains(reason, "did not find expected") {
			line++
		}
		reason = yamlLine.ReplaceAllString(reason, "")
	}
	return line, reason
}

// fields calls the function of each key. It fails for a key without one.
func (r *reader) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node) error) error {
	var names []string
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	return r.entries(n, what, func(k, v *yaml.Node) error {
		read, ok := known[k.Value]
		if !ok {
			hint := " (known: " + strings.Join(names, ", ") + ")"
			if s := Suggest(k.Value, names); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			return r.fail(k, "unknown key %q%s", k.Value, hint)
		}
		return read(v)
	})
}

// entries visits a mapping in order. It fails where a key is not a string or not unique.
func (r *reader) entries(n *yaml.Node, what string, visit func(k, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return r.fail(n, "%s must be a mapping", what)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" || k.ShortTag() == "!!merge" {
			return r.fail(k, "a key of %s must be a string", what)
		}
		if first, ok := seen[k.Value]; ok {
			return r.fail(k, "duplicate key %q (first in line %d)", k.Value, first)
		}
		seen[k.Value] = k.Line
		if v.Kind == yaml.AliasNode {
			return r.fail(v, "aliases are not supported here")
		}
		if err := visit(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) items(n *yaml.Node, what string, visit func(v *yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return r.fail(n, "%s must be a list", what)
	}
	for _, v := range n.Content {
		if v.Kind == yaml.AliasNode {
			return r.fail(v, "aliases are not supported here")
		}
		if err := visit(v); err != nil {
			return err
		}
	}
	return nil
}

// text stores a string that is not empty and matches the pattern, if there is one.
func (r *reader) text(into *string, what string, must *pattern) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			return r.fail(n, "%s must be a string%s", what, quoted(n))
		}
		if n.Value == "" {
			return r.fail(n, "%s is empty", what)
		}
		if must != nil && !must.matches(n.Value) {
			return r.fail(n, "invalid %s %q: want %s", what, n.Value, must.words)
		}
		*into = n.Value
		return nil
	}
}

// texts stores a list of strings.
func (r *reader) texts(into *[]string, what, each string, must *pattern) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return r.items(n, what, func(n *yaml.Node) error {
			*into = append(*into, "")
			return r.text(&(*into)[len(*into)-1], each, must)(n)
		})
	}
}

func quoted(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return ""
	}
	return fmt.Sprintf(": write %q", n.Value)
}

// within stores a path below the project's root. It fails where the path does not exist.
func (r *reader) within(into *string, what string, directory bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if err := r.text(into, what, nil)(n); err != nil {
			return err
		}
		p := path.Clean(filepath.ToSlash(n.Value))
		if path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") {
			return r.fail(n, "%s %s is outside the project", what, n.Value)
		}
		*into = p
		return r.exists(n, what, p, directory)
	}
}

// keep makes a path that does not exist a fault of its environment: the others need not suffer from it.
func (env *Environment) keep(err error) error {
	var absent *AbsentError
	if !errors.As(err, &absent) {
		return err
	}
	env.Absent = append(env.Absent, *absent)
	return nil
}

// is reports whether a directory has a regular file of that name.
func (r *reader) is(dir, name string) bool {
	info, err := r.root.Stat(filepath.FromSlash(path.Join(dir, name)))
	return err == nil && info.Mode().IsRegular()
}

func (r *reader) kustomized(dir string) bool {
	return slices.ContainsFunc(kustomizations, func(name string) bool { return r.is(dir, name) })
}

func (r *reader) exists(n *yaml.Node, what, p string, directory bool) error {
	info, err := r.root.Stat(filepath.FromSlash(p))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return r.fail(n, "%w", &AbsentError{what, p, directory, n.Line})
	case err != nil && strings.Contains(err.Error(), "escapes"):
		return r.fail(n, "%s %s is a link to a path outside the project", what, p)
	case err != nil:
		return r.fail(n, "%s %s: %w", what, p, err)
	case info.IsDir() != directory && directory:
		return r.fail(n, "%s %s is not a directory", what, p)
	case info.IsDir() != directory:
		return r.fail(n, "%s %s is a directory", what, p)
	}
	return nil
}

func (r *reader) boolean(into *bool, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.ShortTag() != "!!bool" {
			return r.fail(n, "%s must be true or false", what)
		}
		return n.Decode(into)
	}
}
