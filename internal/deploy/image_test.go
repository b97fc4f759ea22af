package deploy

import (
	"strings"
	"testing"

	"slipway/internal/object"
	"slipway/internal/project"
)

// An image that only another environment uses is not an error, as long as no container shows that an override
// has matched nothing.
func TestUsedImages(t *testing.T) {
	set := func(containers ...string) object.Set {
		t.Helper()
		var s object.Set
		list, err := object.Read(
			strings.NewReader(`{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [`+
				strings.Join(containers, ", ")+`]}}`), "p.yaml")
		if err == nil {
			err = s.Add(list[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	images := []project.Image{{Name: "web"}, {Name: "tool"}}
	web, tool, typo := "{name: web, image: ghcr.io/acme/web}", "{name: tool, image: ghcr.io/acme/tool}",
		"{name: tool, image: ghcr.io/acme/toool}"
	for name, c := range map[string]struct {
		here object.Set
		then []object.Set
		want string
	}{
		"used":                          {set(web, tool), nil, "web tool"},
		"used nowhere":                  {set(web), []object.Set{set(web)}, "web tool"},
		"only elsewhere":                {set(web), []object.Set{set(web), set(web, tool)}, "web"},
		"the container is here as well": {set(web, typo), []object.Set{set(web, tool)}, "web tool"},
	} {
		t.Run(name, func(t *testing.T) {
			var others []other
			for _, s := range c.then {
				others = append(others, other{set: s})
			}
			var got []string
			for _, img := range usedImages(images, c.here, others) {
				got = append(got, img.Name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}
