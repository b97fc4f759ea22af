package metadata

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/ci"
)

var inTag = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Whatever is written, nothing breaks, and a tag has only what a tag may have.
func FuzzTags(f *testing.F) {
	for _, seed := range []string{
		"type=sha\ntype=raw,value={{branch}}-{{date 'YYYY[w]WW' tz='Asia/Tokyo'}}",
		"type=semver,pattern={{{raw}}},value=v1.2.3-rc.1+b",
		`type=pep440,"pattern={{version}}",value=1!2.0.post1+x`,
		"latest\n# no\ntype=raw,value={{#if x}}\\{{!-- --}}", "a,b=\"c\n",
	} {
		f.Add(seed, "refs/tags/v1.2.3", "latest=true,prefix={{sha}}")
	}
	f.Fuzz(func(t *testing.T, tags, ref, flavor string) {
		if strings.Contains(strings.ToLower(tags), "match") {
			return // what an expression takes is a matter of time, and bounded
		}
		run := ci.Run{Event: "push schedule", Ref: ref, SHA: "860c1904a1ce19322e91ac35af1ab07466440c37"}
		c := Context{Run: run, Now: time.Unix(1767322800, 0)}
		r, err := Make(Inputs{Images: "a/b", Tags: tags, Flavor: flavor, Labels: tags}, c)
		if err != nil {
			return
		}
		for _, name := range r.TagNames {
			if !inTag.MatchString(name) {
				t.Errorf("invalid tag %q", name)
			}
		}
		if (r.Version == "") != (len(r.Tags) == 0) {
			t.Errorf("the version is %q, with %d tags", r.Version, len(r.Tags))
		}
	})
}
