package object

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Values that are written in two ways and mean the same: 1000m and 1 of a CPU, a list whose order does not
// matter, an empty mapping and none. What a key holds is known by its name and the one above it, and only
// outside of data, labels and annotations, which hold any text.

// quantityKeys hold a quantity, quantityParents hold mappings to quantities.
var (
	quantityKeys = strings.Fields("sizeLimit divisor averageValue storage memory cpu ephemeral-storage " +
		"capacity maximumVolumeSize targetAverageValue minimumVolumeSize")
	quantityParents = strings.Fields("limits requests hard capacity default defaultRequest min max " +
		"maxLimitRequestRatio podFixed used allocatable target")
	durationKeys = strings.Fields("duration renewBefore interval timeout retryInterval refreshInterval")
	// unordered are lists of which the order says nothing.
	unordered = strings.Fields("verbs apiGroups resources resourceNames nonResourceURLs accessModes " +
		"finalizers values policyTypes add drop hosts externalIPs loadBalancerSourceRanges " +
		"imagePullSecrets metrics from to ingress egress subjects scopes categories shortNames " +
		"mountOptions tolerations matchExpressions supplementalGroups usages apiVersions operations")
	// textual mappings hold text, whatever the names of their keys.
	textual = strings.Fields("annotations labels matchLabels nodeSelector selector values env data " +
		"stringData binaryData parameters")
)

// Respell returns want with the spelling of have wherever both mean the same.
func Respell(want, have Object) Object {
	body, _ := respell(want.Body, have.Body, nil).(map[string]any)
	return Object{Body: body, Origin: want.Origin}
}

func respell(want, have any, keys []string) any {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return want
		}
		out := w // a copy when something is spelled otherwise
		for k, v := range w {
			n := respell(v, h[k], append(keys[:len(keys):len(keys)], k))
			if identical(n, v) {
				continue
			}
			if identical(out, w) {
				out = maps.Clone(w)
			}
			out[k] = n
		}
		return out
	case []any:
		h, ok := have.([]any)
		if !ok {
			return want
		}
		if isUnordered(keys) && isPermutation(w, h, keys) {
			return have
		}
		out := w
		for i, j := range partners(w, h) {
			if j < 0 {
				continue
			}
			n := respell(w[i], h[j], keys)
			if identical(n, w[i]) {
				continue
			}
			if identical(out, w) {
				out = slices.Clone(w)
			}
			out[i] = n
		}
		return out
	}
	if have != nil && meansTheSame(want, have, keys) {
		return have
	}
	return want
}

// partners returns for each element of a the position of the same one in b, or -1: by key, else by position.
func partners(a, b []any) []int {
	namesA, namesB := positions(len(a)), positions(len(b))
	if len(a) > 0 && len(b) > 0 && mappings(a) && mappings(b) {
		namesA, namesB = elementNames(a, b)
	}
	found := make([]int, len(a))
	for i, n := range namesA {
		found[i] = slices.Index(namesB, n)
	}
	return found
}

// isPermutation says that both lists have the same elements.
func isPermutation(a, b []any, keys []string) bool {
	if len(a) != len(b) {
		return false
	}
	rest := slices.Clone(b)
	for _, v := range a {
		i := slices.IndexFunc(rest, func(other any) bool { return same(respell(v, other, keys), other) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

// meansTheSame compares two scalars, by what the keys above them say.
func meansTheSame(a, b any, keys []string) bool {
	if same(a, b) {
		return true
	}
	key, above := lastTwo(keys)
	if slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(textual, k) }) {
		return false
	}
	switch {
	case slices.Contains(quantityKeys, key) || slices.Contains(quantityParents, above):
		return sameQuantity(a, b)
	case slices.Contains(durationKeys, key):
		x, errX := time.ParseDuration(text(a))
		y, errY := time.ParseDuration(text(b))
		return errX == nil && errY == nil && x == y
	}
	return false
}

func isUnordered(keys []string) bool {
	key, above := lastTwo(keys)
	switch {
	case key == "values": // of an expression, not those of a chart
		return slices.Contains([]string{"matchExpressions", "matchFields"}, above)
	case key == "resources": // of a rule
		return above == "rules" || above == "resourceRules"
	}
	return slices.Contains(unordered, key)
}

func lastTwo(keys []string) (last, above string) {
	if n := len(keys); n > 1 {
		return keys[n-1], keys[n-2]
	} else if n == 1 {
		return keys[0], ""
	}
	return "", ""
}

func sameQuantity(a, b any) bool {
	x, errX := resource.ParseQuantity(text(a))
	y, errY := resource.ParseQuantity(text(b))
	return errX == nil && errY == nil && x.Cmp(y) == 0
}

// text is a scalar as YAML would write it.
func text(v any) string {
	if f, ok := asFloat(v); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// Lost returns the fields that want sets and have holds with another value, as a server has made it of want:
// Before is what want says. Values that mean the same, and what have holds beside, do not count.
func Lost(want, have Object) []Field {
	l := loser{secret: IsSecret(want)}
	for _, k := range sortedKeys(want.Body) {
		switch k {
		case "apiVersion", "kind", "status":
		default:
			l.value(k, want.Body[k], have.Body[k], []string{k})
		}
	}
	return l.fields
}

type loser struct {
	secret bool
	fields []Field
}

func (l *loser) value(path string, want, have any, keys []string) {
	if isEmpty(want) || isZero(want) && (have == nil || keys[len(keys)-1] == "nodePort") {
		return // the port of a node that is zero is one of the server's choice
	}
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if ok || have == nil && len(w) > 0 {
			for _, k := range sortedKeys(w) {
				l.value(Join(path, k), w[k], h[k], append(keys[:len(keys):len(keys)], k))
			}
			return
		}
	case []any:
		if h, ok := have.([]any); ok {
			l.list(path, w, h, keys)
			return
		}
	default:
		if have != nil && (meansTheSame(want, have, keys) || sameText(want, have)) {
			return
		}
	}
	l.lose(path, want, have, keys)
}

func (l *loser) lose(path string, want, have any, keys []string) {
	if l.secret && (keys[0] == "data" || keys[0] == "stringData") {
		want, have = Hidden, Hidden
	}
	l.fields = append(l.fields, Field{Path: path, Before: want, After: have})
}

func (l *loser) list(path string, want, have []any, keys []string) {
	if len(want) > 0 && mappings(want) && mappings(have) && len(have) > 0 {
		names, _ := elementNames(want, have)
		partner := partners(want, have)
		for i, w := range want {
			if slices.ContainsFunc(have, func(h any) bool { return holds(w, h, keys) }) {
				continue
			}
			var h any
			if partner[i] >= 0 {
				h = have[partner[i]]
			}
			l.value(path+names[i], w, h, keys)
		}
		return
	}
	rest := slices.Clone(have)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(h any) bool { return holds(w, h, keys) })
		if i < 0 {
			l.lose(path, want, have, keys)
			return
		}
		rest = slices.Delete(rest, i, i+1)
	}
}

// holds says that nothing of want is lost in have.
func holds(want, have any, keys []string) bool {
	l := loser{}
	l.value("", want, have, keys)
	return len(l.fields) == 0
}

// isEmpty says that a value is left out, or has nothing in it: nothing is asked for.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(v any) bool { return !isEmpty(v) })
	case []any:
		return len(v) == 0
	}
	return v == nil || v == ""
}

// isZero says that a value is what a server leaves out.
func isZero(v any) bool { return v == false || same(v, int64(0)) }

// sameText says that a server has only spelled a value anew: a quantity, a time, base64 with line breaks.
func sameText(a, b any) bool {
	if sameQuantity(a, b) {
		return true
	}
	s, t := text(a), text(b)
	if x, err := time.Parse(time.RFC3339, s); err == nil {
		y, err := time.Parse(time.RFC3339, t)
		return err == nil && x.Equal(y)
	}
	x, err := base64.StdEncoding.DecodeString(s)
	return err == nil && base64.StdEncoding.EncodeToString(x) == t
}
