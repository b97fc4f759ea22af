package metadata

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/ci"
	"slipway/internal/render/foldertest"
)

// recorded is what docker/metadata-action itself gave.
type recorded struct {
	Now        time.Time     `json:"default_now"`
	CommitDate time.Time     `json:"api_commit_date"`
	Repository ci.Repository `json:"default_repo"`
	Events     map[string]struct {
		Env     map[string]string
		Payload json.RawMessage
	}
	Cases []struct {
		ID, Event  string
		Env        map[string]string
		Repo       *ci.Repository
		Now        *time.Time
		CommitDate time.Time `json:"commit_date"`
		Raw        map[string]string
		Equivalent *bool `json:"raw_equivalent"`
		Inputs     struct {
			Images, Tags, Flavor, Labels, Annotations []string
			BakeTarget, SepTags                       string
		}
		Expected map[string]any
		Error    string
		Warnings []string
	}
	Unit struct {
		Parse []struct {
			Input    string
			Expected struct {
				Type  string
				Attrs map[string]string
			}
			Error string
		} `json:"tag_parse"`
		Transform []struct {
			Input    []string
			Expected []struct {
				Type  string
				Attrs map[string]string
			}
		} `json:"tag_transform"`
		Flavor []struct {
			Input    []string
			Expected Flavor
			Error    string
		}
		Image []struct {
			Input    []string
			Expected []Image
			Error    string
		}
		Inputs []struct {
			Inputs   map[string]string
			Expected map[string]any
		} `json:"input_list"`
		Raw []struct {
			Input    string
			Expected bool
		} `json:"is_raw"`
	}
}

// unwritten are the events that the reference's cases name and its file does not hold, as their
// results say they were.
var unwritten = map[string]struct{ name, ref, payload string }{
	"x_main":         {"push", "refs/heads/main", ``},
	"x_branch_odd":   {"push", "refs/heads/user/a&b+c@d#e", ``},
	"x_branch_quote": {"push", "refs/heads/it's<ok>", ``},
	"x_tag_build":    {"push", "refs/tags/v1.2.3+build.5", `"base_ref": "refs/heads/release/1.x",`},
	"x_tag_zero":     {"push", "refs/tags/v0.1.0", ``},
	"x_sched":        {"schedule", "refs/heads/main", ``},
	"x_pr": {"pull_request", "refs/pull/42/merge", `"number": 42, "pull_request":
		{"base": {"ref": "release/1.x"}, "head": {"sha": "1111111111111111111111111111111111111111"}},`},
	"x_prt": {"pull_request_target", "refs/heads/main", `"number": 43, "pull_request":
		{"base": {"ref": "main"}, "head": {"sha": "2222222222222222222222222222222222222222"}},`},
}

func load(t *testing.T) (r recorded) {
	if err := json.Unmarshal(foldertest.Reference(t, "metadata.json",
		"the comparison with docker/metadata-action"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// context is a case's.
func (r recorded) context(t *testing.T, event string, own map[string]string) Context {
	t.Helper()
	env := maps.Clone(r.Events[event].Env)
	if env == nil {
		env = map[string]string{}
	}
	payload := []byte(r.Events[event].Payload)
	if e, ok := unwritten[event]; ok {
		env["GITHUB_EVENT_NAME"], env["GITHUB_REF"] = e.name, e.ref
		env["GITHUB_SHA"] = "860c1904a1ce19322e91ac35af1ab07466440c37"
		commit := `, "head_commit": {"id": "860c1904a1ce19322e91ac35af1ab07466440c37", "timestamp": "2023-06-30T23:59:58+02:00"}`
		if strings.HasPrefix(e.name, "pull") {
			commit = ""
		}
		payload = []byte("{" + e.payload + `"repository": {"default_branch": "main"}` + commit + "}")
	} else if payload == nil {
		t.Fatalf("nothing says what the event %s is", event)
	}
	maps.Copy(env, own)
	c, _, err := FromEnvironment(func(name string) string { return env[name] }, payload)
	if err != nil {
		t.Fatal(err)
	}
	c.Now, c.Repository = r.Now, r.Repository
	if c.CommitDate.IsZero() {
		c.CommitDate = r.CommitDate
	}
	return c
}

func TestReference(t *testing.T) {
	r := load(t)
	if len(r.Cases) != 1077 {
		t.Errorf("%d cases, and not 1077", len(r.Cases))
	}
	for _, each := range r.Cases {
		t.Run(each.ID, func(t *testing.T) {
			c := r.context(t, each.Event, each.Env)
			if each.Now != nil {
				c.Now = *each.Now
			}
			if each.Repo != nil {
				c.Repository = *each.Repo
			}
			text := func(key string, list []string) string {
				if raw, ok := each.Raw[key]; ok && (each.Equivalent == nil || *each.Equivalent) {
					return raw
				}
				return quoted(list)
			}
			in := Inputs{Images: text("images", each.Inputs.Images), Tags: text("tags", each.Inputs.Tags),
				Flavor: text("flavor", each.Inputs.Flavor), Labels: text("labels", each.Inputs.Labels),
				Annotations: text("annotations", each.Inputs.Annotations),
				BakeTarget:  each.Inputs.BakeTarget, SepTags: each.Inputs.SepTags}
			got, err := Make(in, c)
			if each.Error != "" {
				if err == nil {
					t.Fatalf("no error; the action says %s", each.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if each.Expected["version"] == nil {
				each.Expected["version"] = ""
			}
			if c.CommitDate.UnixMilli() != each.CommitDate.UnixMilli() {
				t.Errorf("the commit's date is %s, not %s", c.CommitDate, each.CommitDate)
			}
			if diff := cmp.Diff(each.Expected, all(t, got, in, c, each.Expected)); diff != "" {
				t.Error(diff)
			}
			said := 0
			for _, w := range got.Warnings {
				if w.Fix == "" {
					said++
				}
			}
			distinct := slices.Compact(slices.Sorted(slices.Values(each.Warnings)))
			if fell := slices.ContainsFunc(got.Warnings, func(w Warning) bool {
				return w.Trap == fallsThrough
			}); fell {
				said++
			}
			if len(distinct) > said {
				t.Errorf("the action warns %q, and here are %+v", each.Warnings, got.Warnings)
			}
		})
	}
}

// quoted writes lines so that the action reads them as they are.
func quoted(list []string) string {
	var b strings.Builder
	for _, line := range list {
		b.WriteString(`"` + strings.ReplaceAll(line, `"`, `""`) + "\"\n")
	}
	return b.String()
}

// all is a result in the form of the cases, as far as a case has it.
func all(t *testing.T, r Result, in Inputs, c Context, wanted map[string]any) map[string]any {
	t.Helper()
	list := func(l []string) []string { return append([]string{}, l...) }
	o := r.Outputs(in, c)
	values := map[string]any{
		"version": r.Version, "partial": list(r.Partial), "latest": r.Latest, "tags": list(r.Tags),
		"tag_names": list(r.TagNames),
		"labels":    list(r.Labels), "annotations": list(r.Annotations), "json": json.RawMessage(o["json"]),
		"bake_tags": json.RawMessage(o["bake-file-tags"]), "bake_labels": json.RawMessage(o["bake-file-labels"]),
		"bake_annotations": json.RawMessage(o["bake-file-annotations"]), "bake": json.RawMessage(o["bake-file"]),
		"output_tags": o["tags"], "output_labels": o["labels"],
	}
	maps.DeleteFunc(values, func(name string, _ any) bool { _, ok := wanted[name]; return !ok })
	b, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReferenceUnits(t *testing.T) {
	u := load(t).Unit
	if n := len(u.Parse) + len(u.Transform) + len(u.Flavor) + len(u.Image) + len(u.Inputs) +
		len(u.Raw); n != 66 {
		t.Errorf("%d rows, and not 66", n)
	}
	fails := func(t *testing.T, err error, want string) bool {
		if (err != nil) != (want != "") {
			t.Errorf("the error is %v, and the action's is %q", err, want)
		}
		return err != nil
	}
	entry := func(t *testing.T, e Entry, kind string, attrs map[string]string) {
		got := maps.Clone(e.Attrs)
		delete(got, "type")
		for key := range attrs {
			got[key] = e.Attr(key)
		}
		if diff := cmp.Diff(attrs, got); diff != "" || e.Type != kind {
			t.Errorf("type %s, and not %s: %s", e.Type, kind, diff)
		}
	}
	for _, row := range u.Parse {
		t.Run("tags/"+row.Input, func(t *testing.T) {
			entries, err := ParseTags(quoted([]string{row.Input}))
			if !fails(t, err, row.Error) {
				entry(t, entries[0], row.Expected.Type, row.Expected.Attrs)
			}
		})
	}
	for _, row := range u.Transform {
		entries, err := ParseTags(quoted(row.Input))
		if err != nil || len(entries) != len(row.Expected) {
			t.Fatal(entries, err)
		}
		for i, e := range ByPriority(entries) {
			entry(t, e, row.Expected[i].Type, row.Expected[i].Attrs)
		}
	}
	for _, row := range u.Flavor {
		t.Run("flavor/"+strings.Join(row.Input, "|"), func(t *testing.T) {
			f, err := ParseFlavor(quoted(row.Input))
			if !fails(t, err, row.Error) && f != row.Expected {
				t.Error(cmp.Diff(row.Expected, f))
			}
		})
	}
	for _, row := range u.Image {
		t.Run("images/"+strings.Join(row.Input, "|"), func(t *testing.T) {
			images, err := parseImages(quoted(row.Input))
			if diff := cmp.Diff(row.Expected, images); !fails(t, err, row.Error) && diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, row := range u.Raw {
		if isRaw().MatchString(row.Input) != row.Expected {
			t.Errorf("is_raw: %s is not %v", row.Input, row.Expected)
		}
	}
	for _, row := range u.Inputs {
		in := Inputs{SepTags: row.Inputs["sep-tags"], SepLabels: row.Inputs["sep-labels"],
			SepAnnotations: row.Inputs["sep-annotations"],
			BakeTarget:     row.Inputs["bake-target"]}.withDefaults()
		got := map[string]any{"context": in.Context, "bakeTarget": in.BakeTarget, "githubToken": "",
			"sepTags":   in.SepTags,
			"sepLabels": in.SepLabels, "sepAnnotations": in.SepAnnotations}
		for _, key := range []string{"images", "tags", "flavor", "labels", "annotations"} {
			list := []any{}
			read, err := lines(key, row.Inputs[key])
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range read {
				list = append(list, l.text)
			}
			got[key] = list
		}
		if diff := cmp.Diff(row.Expected, got); diff != "" {
			t.Errorf("%v: %s", row.Inputs, diff)
		}
	}
}
