package object

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// Hidden replaces every secret value.
const Hidden = "(hidden)"

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// IsSecret reports whether an object's data is secret.
func IsSecret(o Object) bool {
	r := o.Ref()
	return r.Kind == "Secret" && r.Group == ""
}

// Masked returns the object with the values of a Secret's data replaced by Hidden, in kubectl's annotation
// with a copy of the object too. It returns other objects unchanged.
func Masked(o Object) Object {
	if !IsSecret(o) {
		return o
	}
	o = o.Clone()
	maskData(o.Body)
	annotations, _ := o.At("metadata", "annotations").(map[string]any)
	if copied, ok := annotations[lastApplied]; ok {
		annotations[lastApplied] = maskCopy(copied)
	}
	return o
}

func maskData(body map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		switch v := body[field].(type) {
		case nil:
		case map[string]any:
			for k := range v {
				v[k] = Hidden
			}
		default:
			body[field] = Hidden
		}
	}
}

func maskCopy(v any) string {
	text, _ := v.(string)
	var body map[string]any
	if json.Unmarshal([]byte(text), &body) != nil {
		return Hidden
	}
	maskData(body)
	masked, err := json.Marshal(body)
	if err != nil {
		return Hidden
	}
	return string(masked)
}

// minSecret is the length from which values are hidden: shorter ones occur in ordinary text.
const minSecret = 4

// SecretValues returns the values of the set's Secrets and its concealed values, in all forms that they take
// in text: plain, base64, escaped, and by line or JSON leaf. A value that is a word by which the set names
// things is not among them, such as the user "shop" of a Deployment shop: hidden, it would make evidence and
// plans unreadable, and a reader would still see what it is.
func SecretValues(s Set) []string {
	seen := map[string]bool{}
	for _, v := range s.concealed {
		addForms(seen, v, false)
	}
	for _, o := range s.objects {
		if !IsSecret(o) {
			continue
		}
		for _, field := range []string{"data", "stringData"} {
			values, _ := o.At(field).(map[string]any)
			for _, v := range values {
				switch v := v.(type) {
				case string:
					addForms(seen, v, field == "data")
				case int64, float64:
					add(seen, fmt.Sprint(v))
				}
			}
		}
	}
	if len(seen) > 0 {
		for _, o := range s.objects {
			deleteNames(seen, o.Body, false)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

var (
	nameParts = lazyregexp.New(`[^A-Za-z0-9-]+|-`)
	nameWord  = lazyregexp.New(`^[a-z]{4,20}(-[a-z]+)*$`)
	nameKeys  = []string{"name", "namespace", "image", "labels", "matchLabels", "selector"}
	otherKeys = []string{"data", "stringData", "env", "annotations"}
)

// deleteNames takes from some texts the words by which a value of a Body names things: objects and their
// parts, labels, images.
func deleteNames(seen map[string]bool, v any, isName bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if !slices.Contains(otherKeys, k) {
				deleteNames(seen, x, isName || slices.Contains(nameKeys, k))
			}
		}
	case []any:
		for _, x := range v {
			deleteNames(seen, x, isName)
		}
	case string:
		for _, word := range append(nameParts().Split(v, -1), v) {
			if isName && nameWord().MatchString(word) {
				delete(seen, word)
			}
		}
	}
}

// Forms returns values in all forms that they take in text, as SecretValues does.
func Forms(values []string) []string {
	seen := map[string]bool{}
	for _, v := range values {
		addForms(seen, v, false)
	}
	return slices.Sorted(maps.Keys(seen))
}

func addForms(seen map[string]bool, text string, encoded bool) {
	plain := text
	if encoded {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err == nil {
			plain = string(raw)
		}
		add(seen, text)
	}
	add(seen, plain)
	add(seen, strings.TrimSpace(plain))
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
		base64.RawURLEncoding} {
		add(seen, enc.EncodeToString([]byte(plain)))
	}
	add(seen, url.QueryEscape(plain))
	add(seen, url.PathEscape(plain))
	if quoted, err := json.Marshal(plain); err == nil {
		add(seen, strings.Trim(string(quoted), `"`))
	}
	if lines := strings.Split(plain, "\n"); len(lines) > 1 {
		for _, l := range lines {
			add(seen, strings.TrimSpace(l))
		}
	}
	var parsed any
	if json.Unmarshal([]byte(plain), &parsed) == nil {
		addLeaves(seen, parsed)
	}
}

func addLeaves(seen map[string]bool, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			addLeaves(seen, x)
		}
	case []any:
		for _, x := range v {
			addLeaves(seen, x)
		}
	case string:
		add(seen, v)
	}
}

func add(seen map[string]bool, v string) {
	if len(v) >= minSecret {
		seen[v] = true
	}
}

// HideAll returns the objects with the values hidden, in all forms that Forms knows.
func HideAll(objects []Object, values []string) []Object {
	secrets, hidden := Forms(values), make([]Object, len(objects))
	for i, o := range objects {
		hidden[i] = Hide(o, secrets)
	}
	return hidden
}

// Hide returns the object with the secrets, from SecretValues or Forms, hidden in every string. A Secret's
// value that contains one when decoded is hidden as a whole.
func Hide(o Object, secrets []string) Object {
	if len(secrets) == 0 {
		return o
	}
	body, _ := HideIn(o.Body, secrets).(map[string]any)
	if data, _ := o.At("data").(map[string]any); IsSecret(o) {
		for k, v := range data {
			text, _ := v.(string)
			plain, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
			if Mask(string(plain), secrets) != string(plain) {
				body["data"].(map[string]any)[k] = Hidden
			}
		}
	}
	return Object{Body: body, Origin: o.Origin}
}

// HideIn is Hide for any value of a Body.
func HideIn(v any, secrets []string) any {
	switch v := v.(type) {
	case string:
		return Mask(v, secrets)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = HideIn(x, secrets)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = HideIn(x, secrets)
		}
		return out
	}
	return v
}

// Mask hides the secrets in a text, overlapping ones included.
func Mask(text string, secrets []string) string {
	var covered []bool
	for _, s := range secrets {
		if len(s) < minSecret {
			continue
		}
		for at := 0; ; at++ {
			i := strings.Index(text[at:], s)
			if i < 0 {
				break
			}
			if covered == nil {
				covered = make([]bool, len(text))
			}
			at += i
			for j := at; j < at+len(s); j++ {
				covered[j] = true
			}
		}
	}
	if covered == nil {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case !covered[i]:
			b.WriteByte(text[i])
		case i == 0 || !covered[i-1]:
			b.WriteString(Hidden)
		}
	}
	return b.String()
}
