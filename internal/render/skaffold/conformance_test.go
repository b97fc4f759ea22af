package skaffold

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/render/foldertest"
)

// suite holds the results of Skaffold's own schema package for its test tables and examples.
type suite struct {
	Files map[string]string
	Cases []struct {
		ID, Source, File, Command string
		Description               string
		Doc                       int
		ConfigUpgraded            string            `json:"config_upgraded"`
		KubeContextFlag           string            `json:"kube_context_flag"`
		CurrentContext            string            `json:"current_context"`
		Env                       map[string]string `json:"env"`
		AutoActivation            bool              `json:"auto_activation"`
		Profiles, Activated       []string
		Expected                  map[string]any
		Error                     string
	}
}

func conformance(t *testing.T) (s suite) {
	t.Helper()
	if err := json.Unmarshal(foldertest.Reference(t, "skaffold-profiles.json", "the comparison with Skaffold"),
		&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// An API version that is refused is taken from what Skaffold upgraded it to; nothing else is.
func TestConformance(t *testing.T) {
	s := conformance(t)
	if len(s.Cases) < 300 {
		t.Fatalf("only %d cases", len(s.Cases))
	}
	taken := map[string][]string{}
	for _, c := range s.Cases {
		t.Run(c.ID, func(t *testing.T) {
			text, how := s.Files[c.File], "the file itself"
			if c.File == "" {
				text, how = c.ConfigUpgraded, "Skaffold's own table"
			}
			configs, err := Parse([]byte(text), "skaffold.yaml")
			if err != nil && strings.Contains(err.Error(), "skaffold fix") {
				_, was, _ := strings.Cut(text, "apiVersion: ")
				was, _, _ = strings.Cut(was, "\n")
				how = "the upgrade of " + was
				configs, err = Parse([]byte(c.ConfigUpgraded), "skaffold.yaml")
				c.Doc = 0
			}
			if err != nil {
				t.Fatal(err)
			}
			taken[how] = append(taken[how], c.ID)
			a := Activation{
				Command: c.Command, KubeContext: c.CurrentContext, KubeContextFlag: c.KubeContextFlag,
				Profiles: c.Profiles,
				Env: func(name string) (string, bool) {
					v, ok := c.Env[name]
					return v, ok
				}, NoAuto: !c.AutoActivation,
			}
			all, err := Resolve(configs[c.Doc:c.Doc+1], a, func(string) ([]byte, error) {
				return []byte("apiVersion: " + version + "\nkind: Config\n"), nil
			})
			if c.Error != "" {
				if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(strings.Split(c.Error, " -- ")[0],
					"finding auto-activated profiles: ")) {
					t.Errorf("error %v, Skaffold's is %q", err, c.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := all[len(all)-1]
			fired := []string{}
			for _, f := range r.Fired {
				fired = append(fired, f.Profile)
			}
			if d := cmp.Diff(c.Activated, fired); d != "" {
				t.Errorf("active profiles (- Skaffold's):\n%s", d)
			}
			if c.Expected == nil {
				return
			}
			if d := cmp.Diff(c.Expected, asJSON(t, r.Config)); d != "" {
				t.Errorf("configuration (- Skaffold's):\n%s", d)
			}
		})
	}
	for how, ids := range taken {
		t.Logf("%d cases from %s: %s", len(ids), how, strings.Join(ids, " "))
	}
}

func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
