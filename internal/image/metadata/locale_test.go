package metadata

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// The library has ICU's tables, as JavaScript has.
func TestLocaleCompare(t *testing.T) {
	order := collate.New(language.English)
	var keys []string
	for r := rune(' '); r < 0x7f; r++ {
		keys = append(keys, string(r), "a"+string(r), string(r)+"b", "Z"+string(r)+"é")
	}
	for i, key := range []string{"org.opencontainers.image.title", "org.opencontainers.image-title", "résumé",
		"resume", "Resume", "Résumé", "à", "a", "ñu", "nz"} {
		keys = append(keys, key, fmt.Sprint(key, i))
	}
	want, got := slices.Clone(keys), slices.Clone(keys)
	slices.SortStableFunc(want, func(a, b string) int { return order.CompareString(a, b) })
	slices.SortStableFunc(got, localeCompare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
