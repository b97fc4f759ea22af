package plan

import "slipway/internal/object"

// Differences returns what leads from one recorded set of objects to another, in the order of the second: how
// two releases differ, without a cluster. Secret values are masked.
func Differences(before, after object.Set) []Change {
	secrets := append(object.SecretValues(before), object.SecretValues(after)...)
	var all []Change
	for _, o := range after.Objects() {
		was, ok := before.Get(o.Ref())
		if !ok {
			all = append(all, Change{Ref: o.Ref(), Action: Create})
			continue
		}
		shown := object.Shown{Before: object.Hide(object.Masked(was), secrets).Body,
			After: object.Hide(object.Masked(o), secrets).Body}
		if fields := object.Differences(was.Body, o.Body, shown, false); len(fields) > 0 {
			all = append(all, Change{Ref: o.Ref(), Action: Update, Fields: fields})
		}
	}
	for _, ref := range before.Refs() {
		if _, ok := after.Get(ref); !ok {
			all = append(all, Change{Ref: ref, Action: Delete})
		}
	}
	return all
}
