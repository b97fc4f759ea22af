package render

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
)

// hookEvents returns when Argo CD or Helm would run an object, as its annotations say. It returns none for an
// object that both apply together with the others.
func hookEvents(o object.Object) []string {
	annotations := o.Annotations()
	// Argo CD ignores Helm's annotation on an object that has its own.
	for _, hook := range []struct{ key, applied string }{
		{"argocd.argoproj.io/hook", "Sync"}, {"helm.sh/hook", "crd-install"},
	} {
		if annotations[hook.key] == nil {
			continue
		}
		events := strings.FieldsFunc(fmt.Sprint(annotations[hook.key]), func(c rune) bool {
			return c == ',' || c == ' '
		})
		if len(events) > 0 {
			return slices.DeleteFunc(events, func(event string) bool { return event == hook.applied })
		}
	}
	return nil
}

func (s *source) markHook(ref object.Ref, events []string) {
	if s.result.Hooks == nil {
		s.result.Hooks = map[object.Ref][]string{}
	}
	s.result.Hooks[ref] = events
}
