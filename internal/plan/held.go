package plan

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
)

// HeldBy names the finalizers that hold a live object, each with the manifest that sets it, or else with the
// field manager that added it. manifest is the object of the source, or of the last release; its Body is nil
// where there is none. The result is empty where no finalizer holds the object.
func HeldBy(live object.Object, holders []Holder, manifest object.Object) string {
	holds := live.Holds()
	if len(holds) == 0 {
		return ""
	}
	all, _ := live.At("metadata", "finalizers").([]any)
	texts := make([]string, len(holds))
	for i, name := range holds {
		texts[i] = name + setBy(slices.Index(all, any(name)), name, holders, manifest)
	}
	if len(texts) == 1 {
		return "finalizer " + texts[0]
	}
	return "finalizers " + strings.Join(texts, ", ")
}

// setBy says which manifest or field manager a finalizer of a live object is from; empty where the server
// does not tell.
func setBy(index int, name string, holders []Holder, manifest object.Object) string {
	if slices.Contains(manifest.Holds(), name) {
		if at := manifest.Origin.String(); at != "" {
			return fmt.Sprintf(" (metadata.finalizers of %s)", at)
		}
		return " (set by its manifest)"
	}
	path := fmt.Sprintf("metadata.finalizers[%d]", index)
	for _, h := range holders {
		if slices.Contains(h.Fields, path) {
			if h.Ours {
				return " (set by the manifest of an earlier release)"
			}
			return fmt.Sprintf(" (added by %s)", h.Manager)
		}
	}
	return ""
}
