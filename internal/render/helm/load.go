package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// The limits of a chart, with the archives inside it.
const (
	maxUnpacked = 64 << 20
	maxNested   = 20
)

// chartKey names a loaded chart. A tree never changes.
type chartKey struct {
	tree                      *tree.Tree
	path, repository, version string
}

// slot holds a chart, which is loaded once, or again after an error.
type slot struct {
	mu sync.Mutex
	*loaded
}

// loaded is a chart before any values. It is copied for each render.
type loaded struct {
	chart    *chart.Chart
	origin   string
	origins  map[*common.File]string // the place of each of its files
	reads    tree.Reads
	warnings []string
	losses   []object.Loss

	mu   sync.Mutex
	sets map[string]*set
}

// load returns the chart of a release. What is loaded is shared, unless the view shows other texts for its
// files.
func (e *Engine) load(ctx context.Context, v *tree.View, c project.Chart) (*loaded, error) {
	key := chartKey{v.Tree, c.Path, c.Repository, c.Version}
	e.mu.Lock()
	s := e.charts[key]
	if s == nil {
		s = &slot{}
		e.charts[key] = s
	}
	e.mu.Unlock()
	s.mu.Lock()
	if v.IsEdited() && c.Repository == "" && (s.loaded == nil || v.Differs(s.reads)) {
		s.mu.Unlock()
		return readChart(ctx, e.config, v, c)
	}
	defer s.mu.Unlock()
	if s.loaded != nil {
		v.Replay(s.reads)
		return s.loaded, nil
	}
	l, err := readChart(ctx, e.config, v, c)
	if err == nil {
		s.loaded = l
	}
	return l, err
}

// readChart reads a chart with all that it depends on.
func readChart(ctx context.Context, config Config, v *tree.View, c project.Chart) (*loaded, error) {
	l := &loaded{sets: map[string]*set{}}
	var err error
	l.reads, err = v.Apart(func(v *tree.View) (err error) {
		r := &reader{ctx: ctx, config: config, view: v, origins: map[*common.File]string{}}
		l.chart, l.origin, err = r.read(c)
		l.origins, l.warnings = r.origins, r.warnings
		return err
	})
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(l.chart.Metadata.Type, "library") {
		return nil, l.wrong("type",
			errors.New("a library chart has no objects: name a chart that uses it"))
	}
	if l.chart.Metadata.Deprecated {
		l.losses = append(l.losses, object.Loss{Kind: object.Deprecated, Origin: object.Origin{File: l.origin},
			Text: "this chart is deprecated"})
	}
	return l, nil
}

// reader reads one chart with all that it depends on.
type reader struct {
	ctx      context.Context
	config   Config
	view     *tree.View
	origins  map[*common.File]string
	warnings []string
	unpacked int // bytes
}

// read reads a chart, and says where it is.
func (r *reader) read(c project.Chart) (*chart.Chart, string, error) {
	if c.Repository != "" {
		w := wanted{c.Repository, c.Path, c.Version}
		found, err := r.fetched(w, object.Origin{})
		return found, w.String(), err
	}
	name, err := r.view.Clean(c.Path)
	if err != nil {
		return nil, "", err
	}
	kind, err := r.view.Kind(name)
	switch {
	case err != nil:
		return nil, "", err
	case kind == tree.Directory:
		found, err := r.directory(name, nil)
		return found, name, err
	case kind == tree.Nothing:
		return nil, "", fmt.Errorf("%s: no such chart: %w", name, fs.ErrNotExist)
	}
	text, err := r.view.File(name)
	if err != nil {
		return nil, "", err
	}
	found, err := r.archive(name, text)
	return found, name, err
}

// directory reads a chart's directory, and finds the dependencies that it does not hold. The directories in
// within depend on it, each on the next.
func (r *reader) directory(dir string, within []string) (*chart.Chart, error) {
	if slices.Contains(within, dir) || len(within) == maxNested {
		return nil, &object.ReadError{
			File: path.Join(dir, "Chart.yaml"),
			Err:  fmt.Errorf("the chart depends on itself: %s", strings.Join(append(within, dir), " → ")),
		}
	}
	files, err := walk(r.view, dir)
	if err != nil {
		return nil, err
	}
	c, err := r.files(dir, files)
	if err != nil {
		return nil, err
	}
	return c, r.complete(dir, c, append(within, dir))
}

// walk reads the files that .helmignore leaves.
func walk(v *tree.View, top string) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if name := path.Join(top, ignore.HelmIgnore); v.IsFile(name) {
		text, err := v.File(name)
		if err != nil {
			return nil, err
		}
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, &object.ReadError{File: name, Err: err}
		}
	}
	rules.AddDefaults()
	var files []*archive.BufferedFile
	var visit func(below string, depth int) error
	visit = func(below string, depth int) error {
		if depth > 100 {
			return fmt.Errorf("%s: directories are nested too deeply", path.Join(top, below))
		}
		entries, err := v.Directory(path.Join(top, below))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			name := path.Join(below, entry.Name())
			full := path.Join(top, name)
			kind, err := kindOf(v, full, entry)
			if err != nil {
				return err
			}
			info := entryInfo{dir: kind == tree.Directory}
			if rules.Ignore(name, info) || name == ".git" {
				continue
			}
			if info.dir {
				if err := visit(name, depth+1); err != nil {
					return err
				}
				continue
			}
			text, err := v.File(full)
			if err != nil {
				return err
			}
			files = append(files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(text, []byte("\ufeff"))})
		}
		return nil
	}
	return files, visit("", 0)
}

// kindOf follows links, which a directory's list does not.
func kindOf(v *tree.View, name string, entry fs.DirEntry) (tree.Kind, error) {
	switch {
	case entry.IsDir():
		return tree.Directory, nil
	case entry.Type().IsRegular():
		return tree.File, nil
	}
	if _, err := v.Real(name); err != nil {
		return tree.Nothing, err
	}
	return v.Kind(name)
}

// entryInfo is as much of a file as the rules of .helmignore look at.
type entryInfo struct {
	fs.FileInfo
	dir bool
}

func (i entryInfo) IsDir() bool { return i.dir }

// archive reads a .tgz.
func (r *reader) archive(origin string, text []byte) (*chart.Chart, error) {
	files, err := archive.LoadArchiveFiles(bytes.NewReader(text))
	if err != nil {
		return nil, &object.ReadError{File: origin, Err: fmt.Errorf("not a chart archive: %w", err)}
	}
	for _, f := range files {
		r.unpacked += len(f.Data)
	}
	if r.unpacked > maxUnpacked {
		return nil, &object.ReadError{File: origin, Err: fmt.Errorf("more than %d MiB when unpacked",
			maxUnpacked>>20)}
	}
	return r.files(origin, files)
}

// files makes a chart of its files. Helm's loader does one chart at a time, because it takes the
// charts within in random order and forgets where they lay.
func (r *reader) files(origin string, files []*archive.BufferedFile) (*chart.Chart, error) {
	var own []*archive.BufferedFile
	within := map[string][]*archive.BufferedFile{}
	for _, f := range files {
		rest, ok := strings.CutPrefix(f.Name, "charts/")
		if !ok || path.Ext(rest) == ".prov" {
			own = append(own, f)
			continue
		}
		name, below, _ := strings.Cut(rest, "/")
		if !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") {
			within[name] = append(within[name], &archive.BufferedFile{Name: below, Data: f.Data})
		}
	}
	if err := checkFiles(origin, own); err != nil {
		return nil, err
	}
	c, err := loader.LoadFiles(own)
	if err != nil {
		return nil, loadError(origin, err)
	}
	for _, f := range slices.Concat(c.Templates, c.Files, c.Raw) {
		r.origins[f] = fileIn(origin, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(within)) {
		below, at := within[name], fileIn(origin, "charts/"+name)
		var sub *chart.Chart
		var err error
		if path.Ext(name) == ".tgz" && below[0].Name == "" {
			sub, err = r.archive(at, below[0].Data)
		} else {
			sub, err = r.files(at, slices.DeleteFunc(below, func(f *archive.BufferedFile) bool {
				return f.Name == ""
			}))
		}
		if err != nil {
			return nil, err
		}
		c.AddDependency(sub)
	}
	return c, nil
}

// fileIn names a file of a chart, which may be at a URL.
func fileIn(origin, name string) string {
	if origin == "." {
		return name
	}
	return origin + "/" + name
}

// checkFiles finds invalid YAML with its line, which Helm's loader does not always report, and YAML that
// would exhaust it.
func checkFiles(origin string, files []*archive.BufferedFile) error {
	for _, f := range files {
		switch f.Name {
		case "Chart.yaml", "Chart.lock", "values.yaml", "requirements.yaml", "requirements.lock":
			if err := object.Check(bytes.NewReader(f.Data), fileIn(origin, f.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	inFile   = regexp.MustCompile(`^cannot load (\S+): `)
	yamlLine = regexp.MustCompile(`yaml: line (\d+): `)
	mistyped = regexp.MustCompile(
		`cannot unmarshal (\w+) into Go (?:struct field \w*\.(\S+) of|value of) type (\S+)`)
)

// loadError adds the file and the line to an error of Helm's loader.
func loadError(origin string, err error) error {
	e := &object.ReadError{File: fileIn(origin, "Chart.yaml"), Err: err}
	msg := err.Error()
	if m := inFile.FindStringSubmatch(msg); m != nil {
		e.File, msg = fileIn(origin, m[1]), msg[len(m[0]):]
	}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	msg = strings.TrimPrefix(msg, "validation: ")
	msg = strings.Replace(msg, "Chart.yaml file is missing", "no such file: not a chart", 1)
	e.Err = errors.New(inYAMLTerms(msg))
	return e
}

// inYAMLTerms rewrites an error about a type in YAML's words.
func inYAMLTerms(msg string) string {
	m := mistyped.FindStringSubmatch(msg)
	if m == nil {
		return msg
	}
	what, is, must := m[2], m[1], "mapping"
	if m[3] == "string" || m[3] == "bool" || m[3] == "int" {
		must = m[3]
	} else if strings.HasPrefix(m[3], "[]") {
		must = "list"
	}
	names := strings.NewReplacer("array", "list", "object", "mapping")
	return strings.TrimSpace(fmt.Sprintf("%s must be a %s, not a %s", what, must, names.Replace(is)))
}

// wrong is an error about a key of the chart's Chart.yaml.
func (l *loaded) wrong(key string, err error) error {
	return &object.ReadError{File: fileIn(l.origin, "Chart.yaml"), Line: lineOf(l.chart, key+":"), Err: err}
}

func lineOf(c *chart.Chart, text string) int {
	for _, f := range c.Raw {
		if f.Name != "Chart.yaml" {
			continue
		}
		for i, line := range strings.Split(string(f.Data), "\n") {
			if strings.Contains(strings.NewReplacer(`"`, "", `'`, "").Replace(line), text) {
				return i + 1
			}
		}
	}
	return 0
}

// complete finds the dependencies that charts/ lacks. Like Helm it uses those in charts/ as they are: with
// another version one counts as a chart that Chart.yaml does not name.
func (r *reader) complete(dir string, c *chart.Chart, within []string) error {
	for _, d := range c.Metadata.Dependencies {
		at := object.Origin{File: path.Join(dir, "Chart.yaml"), Line: lineOf(c, "name: "+d.Name)}
		if i := slices.IndexFunc(c.Dependencies(), func(s *chart.Chart) bool {
			return s.Name() == d.Name
		}); i >= 0 {
			if !slices.ContainsFunc(c.Dependencies(), func(s *chart.Chart) bool {
				return s.Name() == d.Name && compatible(d.Version, s.Metadata.Version)
			}) {
				r.warnings = append(r.warnings, fmt.Sprintf("%s: charts/ has %s %s instead of %s: "+
					"it is rendered, but its condition, tags and alias are ignored", at, d.Name,
					c.Dependencies()[i].Metadata.Version, d.Version))
			}
			continue
		}
		sub, err := r.dependency(dir, c, d, at, within)
		if err != nil {
			return err
		}
		if sub.Name() != d.Name || !compatible(d.Version, sub.Metadata.Version) {
			return &object.ReadError{File: at.File, Line: at.Line, Err: fmt.Errorf("dependency %s %s: %s is %s %s",
				d.Name, d.Version, d.Repository, sub.Name(), sub.Metadata.Version)}
		}
		c.AddDependency(sub)
	}
	return nil
}

func (r *reader) dependency(dir string, c *chart.Chart, d *chart.Dependency, at object.Origin,
	within []string) (*chart.Chart, error) {
	refuse := func(why string) error {
		return &tree.RefusedError{Origin: at, What: fmt.Sprintf("dependency %s %s from %q", d.Name, d.Version,
			d.Repository), Why: why}
	}
	if local, ok := strings.CutPrefix(d.Repository, "file://"); ok {
		below, err := r.view.Clean(path.Join(dir, local))
		if err != nil || path.IsAbs(local) {
			return nil, refuse("outside the project")
		}
		return r.directory(below, within)
	}
	if !strings.Contains(d.Repository, "://") {
		return nil, refuse("it is not in charts/: run helm dependency build")
	}
	locked := ""
	if c.Lock != nil {
		for _, l := range c.Lock.Dependencies {
			if l.Name == d.Name && l.Repository == d.Repository {
				locked = l.Version
			}
		}
	}
	if locked == "" {
		return nil, refuse(
			"it is not in charts/, and Chart.lock has no version of it: run helm dependency update")
	}
	return r.fetched(wanted{d.Repository, d.Name, locked}, at)
}

// copyChart copies what rendering changes: the charts and their metadata, not their files.
func copyChart(c *chart.Chart) *chart.Chart {
	out := *c
	meta := *c.Metadata
	meta.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		own := *d
		meta.Dependencies = append(meta.Dependencies, &own)
	}
	out.Metadata = &meta
	out.SetDependencies()
	for _, sub := range c.Dependencies() {
		out.AddDependency(copyChart(sub))
	}
	return &out
}
