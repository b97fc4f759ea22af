package object

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func secret(data map[string]any) Object {
	return Object{Body: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "s", "annotations": map[string]any{
			lastApplied: `{"kind":"Secret","data":{"password":"aHVudGVyMg=="},"stringData":{"x":"hunter2"}}`,
			"other":     "kept"}},
		"data": data,
	}}
}

func TestMaskedHidesValuesAndKeepsKeys(t *testing.T) {
	o := secret(map[string]any{"password": "aHVudGVyMg==", "empty": ""})
	o.Body["stringData"] = "hunter2" // malformed, yet a secret
	before := o.Clone()
	m := Masked(o)
	if diff := cmp.Diff(map[string]any{"password": Hidden, "empty": Hidden}, m.At("data")); diff != "" {
		t.Error(diff)
	}
	if m.Annotations()["other"] != "kept" || m.At("stringData") != Hidden {
		t.Errorf("%v", m.Body)
	}
	var s Set
	if err := s.Add(m); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := WriteYAML(&text, s.Objects()); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"hunter2", "aHVudGVyMg"} {
		if strings.Contains(text.String(), v) {
			t.Errorf("%s shows in\n%s", v, text.String())
		}
	}
	if diff := cmp.Diff(before.Body, o.Body); diff != "" {
		t.Errorf("the original was changed: %s", diff)
	}
}

func TestMaskedHidesAnUnreadableCopyWhole(t *testing.T) {
	o := secret(nil)
	o.Body["metadata"].(map[string]any)["annotations"].(map[string]any)[lastApplied] = "{broken hunter2"
	if got := Masked(o).Annotations()[lastApplied]; got != Hidden {
		t.Error(got)
	}
}

func TestMaskedLeavesOtherObjects(t *testing.T) {
	o := Object{Body: map[string]any{"apiVersion": "example.com/v1", "kind": "Secret",
		"metadata": map[string]any{"name": "x"}, "data": map[string]any{"a": "b"}}}
	if diff := cmp.Diff(o, Masked(o)); diff != "" {
		t.Error(diff)
	}
}

func TestSecretValuesThatAreNumbers(t *testing.T) {
	var s Set
	if err := s.Add(Object{Body: map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata":   map[string]any{"name": "x"},
		"stringData": map[string]any{"pin": int64(1234567)}}}); err != nil {
		t.Fatal(err)
	}
	const refusal = ".stringData.pin: expected string, got &value.valueUnstructured{Value:1234567}"
	if got := Mask(refusal, SecretValues(s)); strings.Contains(got, "1234567") {
		t.Error(got)
	}
}

// A user that is named as the program, and an image's name as password, are seen everywhere: hidden, they
// would take the sense from evidence and plans.
func TestSecretValuesThatAreNames(t *testing.T) {
	var s Set
	for _, body := range []map[string]any{
		{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "login"},
			"stringData": map[string]any{"user": "shop", "password": "postgres", "token": "postgres-2026",
				"other": "letmein", "key": "production"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "shop-settings"},
			"data": map[string]any{"name": "letmein"}},
		{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": map[string]any{"name": "db",
			"annotations": map[string]any{"name": "letmein"}}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "db", "image": "docker.io/library/postgres:16",
				"env": []any{map[string]any{"name": "MODE", "value": "production"}}}}}}}},
	} {
		if err := s.Add(Object{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	const text = "shop: postgres:16 refused postgres-2026, letmein, production"
	if got := Mask(text, SecretValues(s)); got != "shop: postgres:16 refused (hidden), (hidden), (hidden)" {
		t.Error(got)
	}
}

func TestMaskText(t *testing.T) {
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	var s Set
	if err := s.Add(secret(map[string]any{
		"password": enc("hun=ter 2"),
		"pem":      enc("-----BEGIN-----\nMIIBsecretline\n-----END-----\n"),
		"config":   enc(`{"auths":{"ghcr.io":{"password":"inner-pass"}}}`),
		"short":    enc("a"),
		"one":      enc("abcdef"), "two": enc("defghi"),
	})); err != nil {
		t.Fatal(err)
	}
	values := SecretValues(s)
	for text, want := range map[string]string{
		"dial postgres://u:hun=ter 2@db": "dial postgres://u:(hidden)@db",
		"dial u:hun%3Dter+2@db":          "dial u:(hidden)@db",
		"got " + enc("hun=ter 2"):        "got (hidden)",
		"line MIIBsecretline.":           "line (hidden).",
		"login inner-pass failed":        "login (hidden) failed",
		"a banana":                       "a banana",
		"xabcdefghix":                    "x(hidden)x",
		"nothing":                        "nothing",
	} {
		if got := Mask(text, values); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// Kustomize breaks base64 into lines, and a file that was decrypted holds more than its secrets.
func TestHideInBase64(t *testing.T) {
	long := strings.Repeat("0123456789", 9)
	secret := func(plain string) Object {
		enc := base64.StdEncoding.EncodeToString([]byte(plain))
		return Object{Body: map[string]any{"apiVersion": "v1", "kind": "Secret",
			"data": map[string]any{"k": enc[:min(70, len(enc))] + "\n" + enc[min(70, len(enc)):] + "\n"}}}
	}
	for plain, hidden := range map[string]bool{
		long: true, "hunter22\nuser: ada, and more of what is in no other value of this file\n": true,
		"user: ada\nhost: db\n": false,
	} {
		got := Hide(secret(plain), Forms([]string{long, "hunter22"})).At("data", "k")
		if got == Hidden != hidden {
			t.Errorf("%q: %q", plain, got)
		}
	}
}
