package metadata

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTags(t *testing.T) {
	entries, err := ParseTags("# first\n\ntype=sha\nlatest\n type=raw, value = a=b " +
		"\n\"type=raw,\"\"value=a,b\"\",priority=1000\"\ntype=semver,pattern={{version}},value=v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Type: "raw", Attrs: map[string]string{"type": "raw", "value": "a,b", "priority": "1000"},
			Text: `type=raw,"value=a,b",priority=1000`, Line: 5},
		{Type: "semver", Attrs: map[string]string{"type": "semver", "pattern": "{{version}}", "value": "v1.2.3"},
			Text: "type=semver,pattern={{version}},value=v1.2.3", Line: 6},
		{Type: "raw", Attrs: map[string]string{"value": "latest"}, Text: "latest", Line: 3},
		{Type: "raw", Attrs: map[string]string{"type": "raw", "value": "a=b"},
			Text: "type=raw, value = a=b", Line: 4},
		{Type: "sha", Attrs: map[string]string{"type": "sha"}, Text: "type=sha", Line: 2},
	}
	if diff := cmp.Diff(want, ByPriority(entries)); diff != "" {
		t.Error(diff)
	}
	if entries, err := ParseTags(" \n"); err != nil || len(entries) != 4 {
		t.Errorf("the action's own entries: %v, %v", entries, err)
	}
	if _, err := ParseTags("type=shaa"); err == nil {
		t.Error("an unknown type is taken")
	}
}
