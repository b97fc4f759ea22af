// Package tilt reads what a Tiltfile states: the manifests that it applies, the images that it builds and the
// ports that it forwards. It follows the file's statements with the values that the repository determines. It
// runs no program, asks no cluster and no environment variable, and lists the calls that depend on these.
package tilt

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.starlark.net/syntax"
)

// Tiltfile is what a Tiltfile, with the files that it loads and includes, states.
type Tiltfile struct {
	Manifests []Manifest
	Images    []Image
	Forwards  []Forward
	// Contexts are the kubeconfig contexts that it allows beside those of local clusters.
	Contexts []string
	// Undecided are calls that deploy something, and that the repository alone does not decide.
	Undecided []Call
	// Broken are the places of files that are not read, each with the reason.
	Broken []Call
}

// Place is where a call begins.
type Place struct {
	File string
	Line int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Manifest is a kustomization's directory, a file of manifests, or a chart.
type Manifest struct {
	Place
	Path  string
	Chart *Chart
	// Namespace is what namespace_inject puts the objects in.
	Namespace string
}

// Chart is one release of a chart.
type Chart struct {
	Path, Release, Namespace string
	Values, Set, SetString   []string
}

// Image is an image that is built for development.
type Image struct {
	Place
	Name string // without a tag
	// Context and Dockerfile are empty where another program than Docker builds the image, or where they are
	// not decided.
	Context, Dockerfile, Target string
	Args                        map[string]string
	// Command replaces the image's own while developing.
	Command string
	// LiveUpdate: files are copied into the running container.
	LiveUpdate bool
}

// Forward is a port of a workload that is forwarded to the laptop.
type Forward struct {
	Place
	Workload, Name string
	Port           int // of the container
	// Image, where it is set, is the image whose command opens the port, in any workload.
	Image string
}

// Call is a call that is not decided.
type Call struct {
	Place
	Text string // as it is written, on one line
	Why  string // empty: it depends on something outside the repository
}

func (c Call) String() string {
	text := strings.TrimSpace(c.Place.String() + " " + c.Text)
	if c.Why != "" {
		text += " (" + c.Why + ")"
	}
	return text
}

// Limits of what is read.
const (
	maxText   = 256 << 10
	maxNested = 500
	maxFiles  = 100
	maxSteps  = 200_000
	maxDepth  = 60
	maxList   = 10_000
)

// Read reads a Tiltfile of a project. It never fails: what does not parse is a call that is not decided.
func Read(fsys fs.FS, file string) Tiltfile {
	r := &reader{fs: fsys, modules: map[string]*scope{}, texts: map[string][]string{}, builtins: builtins()}
	r.module(file, Place{file, 1})
	return r.out
}

// reader is the state of reading one Tiltfile.
type reader struct {
	fs       fs.FS
	out      Tiltfile
	builtins map[string]func(*reader, arguments) any
	modules  map[string]*scope   // by file
	texts    map[string][]string // the lines of each
	dir      string              // of the file whose statements run: paths are relative to it
	steps    int
	depth    int
	doubt    int // above 0: whether these statements run is not decided
}

// scope holds the variables of a file, a function or a comprehension.
type scope struct {
	vars  map[string]any
	outer *scope
	frame *frame
}

// frame is one run of a file or a function.
type frame struct {
	result  any
	returns int // how many returns may have happened, or not
}

func newScope(outer *scope) *scope {
	s := &scope{vars: map[string]any{}, outer: outer, frame: &frame{}}
	if outer != nil {
		s.frame = outer.frame
	}
	return s
}

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// module runs the statements of a file once, and returns its variables; nil where it cannot be read.
func (r *reader) module(file string, from Place) *scope {
	if s, ok := r.modules[file]; ok {
		return s
	}
	if len(r.modules) >= maxFiles {
		if len(r.out.Broken) < maxFiles {
			r.out.Broken = append(r.out.Broken, Call{Place: from, Text: r.line(from),
				Why: fmt.Sprintf("more than %d files", maxFiles)})
		}
		return nil
	}
	r.modules[file] = nil // a file that loads itself
	text, err := r.text(file)
	if err == nil {
		r.texts[file] = strings.Split(string(text), "\n")
		err = r.parse(file, text)
	}
	var wrong syntax.Error
	switch {
	case errors.As(err, &wrong):
		r.out.Broken = append(r.out.Broken, Call{Place: Place{file, int(wrong.Pos.Line)}, Why: wrong.Msg})
	case err != nil:
		r.out.Broken = append(r.out.Broken, Call{Place: from, Text: r.line(from), Why: err.Error()})
	}
	return r.modules[file]
}

func (r *reader) parse(file string, text []byte) error {
	if tooNested(text) {
		return fmt.Errorf("%s nests deeper than %d levels", file, maxNested)
	}
	parsed, err := (&syntax.FileOptions{}).Parse(file, text, 0)
	if err != nil {
		return err
	}
	dir, depth, doubt := r.dir, r.depth, r.doubt
	defer func() { r.dir, r.depth, r.doubt = dir, depth, doubt }()
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("%s is loaded %d levels deep", file, maxDepth)
	}
	r.dir = path.Dir(file)
	s := newScope(nil)
	r.run(parsed.Stmts, s)
	r.modules[file] = s
	return nil
}

// text reads a file of the project.
func (r *reader) text(file string) ([]byte, error) {
	info, err := fs.Stat(r.fs, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", file)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read", file)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", file)
	case info.Size() > maxText:
		return nil, fmt.Errorf("%s is larger than %d KiB", file, maxText>>10)
	}
	return fs.ReadFile(r.fs, file)
}

// tooNested protects the parser, which is recursive.
func tooNested(text []byte) bool {
	depth := 0
	for _, c := range text {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxNested {
			return true
		}
	}
	return false
}

func (r *reader) undecided(c Call) {
	for _, o := range r.out.Undecided {
		if o.Place == c.Place && o.Text == c.Text {
			return
		}
	}
	if len(r.out.Undecided) < maxList {
		r.out.Undecided = append(r.out.Undecided, c)
	}
}

func placeOf(n syntax.Node) Place {
	start, _ := n.Span()
	return Place{start.Filename(), int(start.Line)}
}

// line is the text of a place, without a comment.
func (r *reader) line(p Place) string {
	lines := r.texts[p.File]
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[p.Line-1])
}

// source is how a node is written, on one line and shortened.
func (r *reader) source(n syntax.Node) string {
	start, end := n.Span()
	lines := r.texts[start.Filename()]
	if int(end.Line) > len(lines) || start.Line < 1 {
		return ""
	}
	var parts []string
	for i := start.Line; i <= end.Line; i++ {
		line := []rune(lines[i-1])
		if i == end.Line {
			line = line[:min(len(line), int(end.Col)-1)]
		}
		if i == start.Line {
			line = line[min(len(line), int(start.Col)-1):]
		}
		parts = append(parts, strings.TrimSpace(string(line)))
	}
	text := strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
	if runes := []rune(text); len(runes) > 60 {
		return strings.TrimSpace(string(runes[:59])) + "…"
	}
	return text
}
