package metadata

import (
	"strings"
	"testing"
	"time"

	"slipway/internal/ci"
)

// What the reference's cases leave out, by the documents that it follows.

func TestMoment(t *testing.T) {
	at := time.Date(2026, time.November, 12, 13, 5, 6, 7e6, time.UTC)
	for format, want := range map[string]string{
		"hmm": "105", "hmmss": "10506", "Hmm": "1305", "Hmmss": "130506", "HHmm": "1305",
		"Do Mo Wo": "12th 11th 46th",
		"YYYYYY":   "+002026", "YYYYY": "02026", "GGGGG": "02026", "DDDo": "316th", "DDDD": "316", "[[x]": "[x",
		"\\DD": "DD", "SSSS": "0070",
		"dd dddd": "Th Thursday", "k kk": "13 13", "yo yyyy": "2026th 2026", "": "2026-11-12T13:05:06Z", "é": "é",
	} {
		if got := momentFormat(at, format, true); got != want {
			t.Errorf("%s is %s, not %s", format, got, want)
		}
	}
	if got := momentFormat(time.Date(2026, 1, 2, 0, 5, 0, 0, time.UTC), "h hmm k Do",
		true); got != "12 1205 24 2nd" {
		t.Errorf("after midnight: %s", got)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3-rc.1+b.2": "1.2.3-rc.1", " 1.2.3 ": "1.2.3",
		"9007199254740991.0.0": "9007199254740991.0.0",
		"1.2":                  "", "01.2.3": "", "1.2.3-01": "", "=1.2.3": "", "9007199254740993.0.0": "",
		"1.2.3.4": "", "": "", "1.2.3-" + strings.Repeat("a", 256): "",
	} {
		f, _, ok := parseSemver(text)
		if f["version"] != want || ok != (want != "") {
			t.Errorf("semver %q is %q", text, f["version"])
		}
	}
	for text, want := range map[string]string{
		"1.0c1": "1.0rc1", "1.0-preview": "1.0rc0", "1.0ALPHA3": "1.0a3", "1.0-1": "1.0.post1",
		"1.0.r4": "1.0.post4", "1.0rev": "1.0.post0",
		"1.0b2.post345.dev456": "1.0b2.post345.dev456", "1!01.02": "1!1.2", "0!1": "1",
		"1.0+Ubuntu-01": "1.0+ubuntu,1", "1.0+a.b_c": "1.0+a,b,c", "1.0dev": "1.0.dev0",
		"1.0.x": "", "": "", "1.0+": "",
	} {
		f, _, ok := parsePep440(text)
		if f["version"] != want || ok != (want != "") {
			t.Errorf("PEP 440: %q is %q, not %q", text, f["version"], want)
		}
	}
}

// entry gives the version of one entry, or what is wrong with it.
func entryVersion(line string) string {
	run := ci.Run{Ref: "refs/heads/a'b", SHA: "0123456789"}
	r, err := Make(Inputs{Tags: quoted([]string{line})}, Context{Run: run})
	if err != nil {
		return err.Error()
	}
	return r.Version
}

// A release of an older line takes tags back from a newer one.
func TestOlderRelease(t *testing.T) {
	const lines = "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}\n" +
		"type=semver,pattern={{major}}"
	all := []string{"v3.0.1", "v3.1.0", "v3.0.0", "v4.0.0-rc.1", "web/v5.0.0", "v2.9.0", "nightly"}
	for name, c := range map[string]struct{ ref, tags, flavor, want string }{
		"the newest": {"refs/tags/v3.1.0", lines, "", ""},
		"an older minor": {"refs/tags/v3.0.1", lines, "",
			"v3.0.1 is older than v3.1.0, which gets 3 and latest too"},
		"without latest": {"refs/tags/v2.9.0", lines, "latest=false", ""},
		"an older major": {"refs/tags/v2.9.0", lines, "latest=true",
			"v2.9.0 is older than v3.1.0, which gets latest too"},
		"an older patch": {"refs/tags/v3.0.0", lines, "latest=false",
			"v3.0.0 is older than v3.1.0, which gets 3 too"},
		"the minor alone": {"refs/tags/v3.0.0", strings.TrimSuffix(lines, "\ntype=semver,pattern={{major}}"),
			"latest=false", "v3.0.0 is older than v3.0.1, which gets 3.0 too"},
		"given by hand": {"refs/heads/main", "type=semver,pattern={{version}},value=2.9.0", "",
			"2.9.0 is older than v3.1.0, which gets latest too"},
		"of another part": {"refs/tags/web/v5.0.0", "type=match,pattern=v(.*),group=1", "", ""},
	} {
		r, err := Make(Inputs{Tags: c.tags, Flavor: c.flavor}, Context{Run: ci.Run{Ref: c.ref}, Tags: all})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range r.Warnings {
			if w.Trap == olderRelease {
				got, _, _ = strings.Cut(w.Text, ":")
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestExpressions(t *testing.T) {
	for line, want := range map[string]string{
		"x{{! nothing }}{{!-- }} --}}y": "xy", `x\{{y`: "x-y", "x{{{branch}}}": "xa-b", "x{{&branch}}": "xa-b",
		"x{{ branch 'any' }}": "xa-x27-b",
		"x{{ nobody }}":       "x", "x{{branch.length}}": "x", `x{{date 'YYYY[\']'}}`: "x0001-x27-",
	} {
		if got := entryVersion("type=raw,value=" + line); got != want {
			t.Errorf("%s is %s, not %s", line, got, want)
		}
	}
	for _, line := range []string{"{{}}", "{{#if tag}}x", "{{/if}}", "{{> x}}", "{{date (x)}}", "{{{branch}}",
		"{{'x'}}", "{{else}}", "{{~branch}}"} {
		if got := entryVersion("type=raw,value=x" + line); !strings.Contains(got, "expression: ") {
			t.Errorf("%s is taken: %s", line, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	for line, want := range map[string]string{
		`(?<y>\d)(x),group=1,value=1x`: "1", `(?<y>\d)(x),group=2,value=1x`: "x",
		`([(](?<z>.\)))\k<z>,group=2,value=(a)a)`: "a-", `/A(.)/i,group=1,value=ab`: "b",
		`/b./g,group=1,value=b1b2`: "b2",
		`/b/y,value=ab`:            "", `/^b$/m,value=b`: "b", `(a)\1,value=xaa`: "aa", `(?<!v)\d,value=v12`: "2",
		`\d+(?=-rc),value=v12-rc`: "12",
		`[^],value=x`:             "x", `\w,value=é_`: "_", `a{2},value=aaa`: "aa", `(?:a|b)+?,value=ab`: "a",
		`\u0061,value=a`: "a", `/\u{61}/u,value=a`: "a",
		`\/x,value=a/x`: "-x", `(a)|b,group=1,value=b`: "", `b,group=01,value=b`: "", `b,group=,value=b`: "",
	} {
		if got := entryVersion("type=match,pattern=" + line); got != want {
			t.Errorf("%s is %q, not %q", line, got, want)
		}
	}
	for _, line := range []string{"(?i)a", "(", "[b-a]", "a**", "/a/gg", "/a/v", "(?<a>x)(?<a>y)"} {
		if got := entryVersion("type=match,pattern=" + line + ",value=a"); !strings.Contains(got, "pattern: ") {
			t.Errorf("%s is taken: %q", line, got)
		}
	}
}

func TestLines(t *testing.T) {
	entries, err := ParseTags("# don't \"quote\n\"# this\n  # nor this\nlatest\n")
	if err == nil {
		t.Errorf("a quote that is not closed: %+v", entries)
	}
	entries, err = ParseTags("# \"quote\n  # nor this\nlatest\n")
	if err != nil || len(entries) != 1 || entries[0].Line != 2 {
		t.Errorf("%+v, %v", entries, err)
	}
}
