package skaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// A skaffold.yaml is written by hand; more than this, or than this many values once its aliases
	// are followed, is not one.
	maxFile   = 1 << 20
	maxValues = 100_000
)

var (
	understood = regexp.MustCompile(`^skaffold/(v3|v3alpha1|v4beta([1-9]|1[0-4]))$`)
	newer      = regexp.MustCompile(`^skaffold/v(4beta(1[5-9]|[2-9][0-9])|4$|4[a-z]+[0-9]|[5-9])`)
	yamlLine   = regexp.MustCompile(`line (\d+): `)
)

// Parse reads the documents of a skaffold.yaml. Everything in it must be understood: an error is a
// *FileError.
func Parse(text []byte, file string) ([]Config, error) {
	if len(text) > maxFile {
		return nil, &FileError{File: file, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
	}
	var out []Config
	names := map[string]int{}
	for stream := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		if err := stream.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, syntaxError(file, err)
		}
		if len(doc.Content) == 0 || null(doc.Content[0]) {
			continue
		}
		top := doc.Content[0]
		c, err := document(top, file)
		if err != nil {
			return nil, err
		}
		if first, twice := names[c.Name]; twice && c.Name != "" {
			return nil, &FileError{file, top.Line, fmt.Errorf("duplicate configuration %q (first in line %d)",
				c.Name, first)}
		}
		names[c.Name] = top.Line
		c.index = len(out)
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, &FileError{File: file, Err: errors.New("the file is empty")}
	}
	return out, nil
}

func syntaxError(file string, err error) error {
	line, msg := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = yamlLine.ReplaceAllString(msg, "")
	}
	return &FileError{file, line, errors.New(msg)}
}

func document(top *yaml.Node, file string) (Config, error) {
	r := reader{file: file, lines: map[string]int{}, zeros: map[int][]string{}, left: maxValues}
	pairs, err := r.pairs(top)
	if err != nil {
		return Config{}, err
	}
	given := ""
	for i, p := range pairs {
		if p.key.Value == "apiVersion" {
			given = p.value.Value
			if err := supported(given); err != nil {
				return Config{}, r.fail(p.value, "%w", err)
			}
		}
		// Anchors may be kept under keys with a dot.
		if strings.HasPrefix(p.key.Value, ".") {
			pairs[i].key = nil
		}
	}
	if given == "" {
		return Config{}, r.fail(top, "no apiVersion: not a Skaffold configuration")
	}
	if older.MatchString(given) {
		if kpt := usesKpt(top); kpt != nil {
			return Config{}, r.fail(kpt, "deploy.kpt of %s has no equal in %s: `skaffold fix` cannot rewrite it "+
				"either", given, version)
		}
		upgrade(top)
		if pairs, err = r.pairs(top); err != nil {
			return Config{}, err
		}
	}
	doc, err := r.fields(top, pairs, "Config", "")
	if err != nil {
		return Config{}, err
	}
	doc["apiVersion"] = version
	c := Config{Name: text(doc, "metadata", "name"), File: file, doc: doc, lines: r.lines, zeros: r.zeros}
	return c, c.uniqueProfiles()
}

func supported(given string) error {
	switch {
	case understood.MatchString(given), older.MatchString(given):
		return nil
	case newer.MatchString(given):
		return fmt.Errorf("apiVersion %s is newer than %s, the newest supported version", given, version)
	case strings.HasPrefix(given, "skaffold/v"):
		return tooOld(given)
	}
	return fmt.Errorf("unknown apiVersion %q", given)
}

func tooOld(given string) error {
	return fmt.Errorf("apiVersion %s is too old: `skaffold fix --overwrite` rewrites the file as %s",
		given, version)
}

func (c *Config) uniqueProfiles() error {
	seen := map[string]int{}
	for i, p := range list(c.doc, "profiles") {
		name, line := text(p, "name"), c.lines[fmt.Sprintf("/profiles/%d", i)]
		if first, twice := seen[name]; twice {
			return &FileError{c.File, line, fmt.Errorf("duplicate profile %q (first in line %d)", name, first)}
		}
		seen[name] = line
	}
	return nil
}

// field is the value below names; nil where there is none.
func field(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func text(v any, names ...string) string {
	s, _ := field(v, names...).(string)
	return s
}

func list(v any, names ...string) []any {
	l, _ := field(v, names...).([]any)
	return l
}

func texts(v any, names ...string) []string {
	var out []string
	for _, e := range list(v, names...) {
		s, _ := e.(string)
		out = append(out, s)
	}
	return out
}
