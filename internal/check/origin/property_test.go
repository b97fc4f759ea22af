package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// The winner of a field's chain is what the field is, for every leaf of every object, however the field is
// spelled. Few leaves of each environment are asked for by default, and none of large ones; with
// SLIPWAY_LEAVES it is that many at least, in all environments.
func TestWinnerIsTheValue(t *testing.T) {
	t.Run("own", func(t *testing.T) {
		var asked tally
		for name, files := range map[string]map[string]string{"shop": shop, "sidecar": sidecar} {
			dir := foldertest.Of(t, files)
			for _, env := range kustomizations(t, dir) {
				asked.environment(t, name, dir, env, 40)
			}
		}
		for _, at := range []string{"examples/myapp", "examples/tutorial", "cmd/slipway/testdata/repos/monorepo",
			"cmd/slipway/testdata/repos/subchart", "cmd/slipway/testdata/repos/hybrid",
			"cmd/slipway/testdata/repos/copies", "cmd/slipway/testdata/repos/skaffold"} {
			p, err := project.Open(filepath.Join(foldertest.Root(t), at))
			if err != nil {
				t.Fatal(err)
			}
			for _, env := range p.Environments {
				asked.environment(t, at, p.Dir, env, 3)
			}
		}
		asked.report(t, 120)
	})
	t.Run("conformance", func(t *testing.T) {
		dir := foldertest.Conformance(t, "the leaves of what kustomize and helm rendered")
		table, err := os.ReadFile(filepath.Join(dir, "CASES.tsv"))
		if err != nil {
			t.Fatal(err)
		}
		var asked tally
		for line := range strings.Lines(string(table)) {
			c := strings.Split(strings.TrimRight(line, "\n"), "\t")
			if strings.HasPrefix(line, "#") || len(c) < 7 || c[5] != "ok" {
				continue
			}
			at, env := conformanceCase(dir, c[1], c[2], strings.Fields(c[3]))
			asked.environment(t, c[0], at, env, 1)
		}
		asked.report(t, 300)
	})
}

// conformanceCase returns the directory of a case and its environment there.
func conformanceCase(dir, kind, at string, values []string) (string, project.Environment) {
	env := project.Environment{Name: "live"}
	if kind == "helm" {
		env.Charts = []project.Chart{{Path: ".", Release: "rel", Values: values}}
		return filepath.Join(dir, at), env
	}
	top, parts := 1, strings.Split(at, "/")
	if parts[0] == "krusty" { // each case is a directory of its own
		top = 2
	}
	env.Paths = []string{path.Join(append([]string{"."}, parts[top:]...)...)}
	return filepath.Join(dir, filepath.Join(parts[:top]...)), env
}

// kustomizations returns an environment for each directory of a kustomization.
func kustomizations(t *testing.T, dir string) (envs []project.Environment) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f))
		envs = append(envs, project.Environment{Name: name, Paths: []string{name}})
	}
	return envs
}

// tally counts what was asked.
type tally struct{ leaves, notTried, unrendered, large int }

// maxOverrides is how many overrides an environment may have to be asked about by default: each is a render.
const maxOverrides = 60

func (n *tally) report(t *testing.T, least int) {
	t.Logf("asked for %d leaves, %d beyond the budget; %d environments do not render, %d are large",
		n.leaves, n.notTried, n.unrendered, n.large)
	if n.leaves < least {
		t.Errorf("asked for %d leaves", n.leaves)
	}
}

// environment asks for some leaves of an environment.
func (n *tally) environment(t *testing.T, name, dir string, env project.Environment, some int) {
	t.Helper()
	r, err := render.Open(dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rendered, err := r.Render(t.Context(), env)
	if err != nil {
		n.unrendered++
		return
	}
	objects := rendered.Set.Objects()
	var all []asked
	for i, o := range objects {
		all = append(all, leavesOf(objects[i], o.Body, "", nil)...)
	}
	slices.SortFunc(all, func(a, b asked) int { return cmp.Compare(a.rank, b.rank) })
	x, err := newExperiment(t.Context(), r, env, Options{Rendered: &rendered})
	if err != nil {
		t.Fatal(err)
	}
	if many, err := strconv.Atoi(os.Getenv("SLIPWAY_LEAVES")); err == nil {
		some = max(some, many)
	} else if len(x.overrides) > maxOverrides {
		n.large++
		return
	}
	all = all[:min(len(all), some)]
	for _, leaf := range all {
		n.leaves++
		fault, err := leaf.ask(t.Context(), r, env, x, &rendered)
		if errors.Is(err, errNotTried) {
			n.notTried++
			continue
		}
		if err != nil {
			fault = err.Error()
		}
		if fault != "" {
			t.Errorf("%s: slipway why %s %s '%s': %s", name, env.Name, leaf.name(), leaf.spelling, fault)
		}
	}
}

// asked is a leaf of an object.
type asked struct {
	object.Object
	field    string
	spelling string
	value    any
	rank     uint64
}

func (a asked) name() string {
	ref := a.Ref()
	if ref.Group == "" {
		ref.Kind += ".v1"
	}
	return nameOf(ref, true)
}

// leavesOf returns the leaves of a value, each with one of its spellings.
func leavesOf(o object.Object, v any, field string, steps []object.Step) (leaves []asked) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			step := object.Step{Key: k}
			leaves = append(leaves, leavesOf(o, below, object.Join(field, k), append(slices.Clone(steps), step))...)
		}
	case []any:
		for i, named := range object.Elements(v) {
			step := object.Step{Element: true, Index: i}
			leaves = append(leaves, leavesOf(o, v[i], field+named, append(slices.Clone(steps), step))...)
		}
	default:
		h := fnv.New64a()
		fmt.Fprint(h, o.Ref(), field)
		return []asked{{o, field, spell(field, steps, h.Sum64()), v, h.Sum64()}}
	}
	return leaves
}

// spell writes a path in one of the ways that people do.
func spell(field string, steps []object.Step, n uint64) string {
	switch n % 6 {
	case 0:
		return field
	case 1:
		return "." + field
	case 2: // by position
		text := ""
		for _, s := range steps {
			if s.Element {
				text += "[" + strconv.Itoa(s.Index) + "]"
			} else {
				text = object.Join(text, s.Key)
			}
		}
		return text
	case 3: // jsonpath
		text := ""
		for _, s := range steps {
			if s.Element {
				text += "[" + strconv.Itoa(s.Index) + "]"
			} else {
				text += "." + strings.NewReplacer(".", `\.`, "[", `\[`, " ", `\ `, `\`, `\\`).Replace(s.Key)
			}
		}
		if strings.ContainsAny(text, " *\"'{}]") && !strings.HasSuffix(text, "]") {
			return field
		}
		return "{" + text + "}"
	case 4: // JSON patch
		text := ""
		for _, s := range steps {
			key := strings.NewReplacer("~", "~0", "/", "~1").Replace(s.Key)
			if s.Element {
				key = strconv.Itoa(s.Index)
			}
			text += "/" + key
		}
		return text
	}
	text := "$"
	for _, s := range steps {
		if s.Element {
			text += "[" + strconv.Itoa(s.Index) + "]"
		} else {
			text += "[" + strconv.Quote(s.Key) + "]"
		}
	}
	return text
}

var errNotTried = errors.New("not tried")

// ask returns what is wrong with the answer.
func (a asked) ask(ctx context.Context, r *render.Renderer, env project.Environment, x experiment,
	rendered *render.Result) (fault string, err error) {
	c, err := Why(ctx, r, env, Question{a.name(), a.spelling}, Options{Rendered: rendered, Budget: time.Second})
	if err != nil {
		return "", err
	}
	if len(c.NotTried) > 0 {
		return "", errNotTried
	}
	if c.Field != a.field {
		return "it explains " + c.Field, nil
	}
	shown, _ := c.Value.(string)
	if a.Ref().Kind == "Secret" || strings.Contains(shown, "(hidden)") {
		return "", nil
	}
	if !reflect.DeepEqual(c.Value, a.value) {
		return fmt.Sprintf("it is %v, not %v", c.Value, a.value), nil
	}
	if c.Unexplained {
		return "nothing explains it", nil
	}
	last := c.Links[len(c.Links)-1]
	if last.Lost || !reflect.DeepEqual(last.Value, a.value) {
		return fmt.Sprintf("the last link is %+v", last), nil
	}
	if last.Override == "" {
		return a.ofBase(x, last), nil
	}
	var winners []string
	for _, l := range c.Links {
		if l.Lost || l.Override == "" {
			continue
		}
		i := slices.IndexFunc(x.overrides, func(o Override) bool {
			inPatch := o.patch != nil && o.patch.file.name == l.File
			return o.Name == l.Override && (o.Place == l.Place || inPatch)
		})
		if i < 0 {
			return fmt.Sprintf("no override is %+v", l), nil
		}
		if a.isSaidBy(x.overrides[i]) {
			return "", nil
		}
		winners = append(winners, fmt.Sprintf("%s %s", l.Place, l.Override))
	}
	return fmt.Sprintf("%v is not what these say: %s", a.value, strings.Join(winners, ", ")), nil
}

// ofBase returns what is wrong where the object's own document is said to decide the value.
func (a asked) ofBase(x experiment, l Link) string {
	doc := document(x.view, a.Origin)
	if doc == nil {
		return "" // a template, or generated
	}
	steps, _ := object.Steps(a.field)
	var body any
	if err := doc.Decode(&body); err != nil {
		return err.Error()
	}
	v, ok := object.Value(body, follow(a.Body, body, steps))
	if !ok {
		return fmt.Sprintf("%v is not written at %s", a.value, l.Place)
	}
	if fmt.Sprint(v) != fmt.Sprint(a.value) {
		return fmt.Sprintf("%s says %v, and not %v", l.Place, v, a.value)
	}
	return ""
}

// isSaidBy reports whether an override has a text that is in the value, or has the value in it.
func (a asked) isSaidBy(o Override) bool {
	v := fmt.Sprint(a.value)
	found := false
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		n = resolved(n)
		if n == nil || found {
			return
		}
		if n.Kind == yaml.ScalarNode && n.Value != "" {
			found = strings.Contains(v, n.Value) || strings.Contains(n.Value, v) && v != ""
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	switch strings.ToLower(o.Kind) {
	case values, defaults, settings, "replacements", "components", "transformers":
		return true // it is computed from what they say
	case "configmapgenerator", "secretgenerator":
		return true // a hash of what they say, or a file's text
	}
	walk(o.node.Node)
	if o.patch != nil {
		walk(o.patch.doc)
	}
	return found
}
