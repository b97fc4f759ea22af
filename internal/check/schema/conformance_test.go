package schema_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"slipway/internal/check/schema"
	"slipway/internal/object"
	"slipway/internal/render/foldertest"
)

// trulyWrong are the faults of the charts. Kustomize's own suite is full of objects that no server takes:
// of that only the decoder is asked.
var trulyWrong = map[string]bool{
	"Pod rel-my-alpine wrong-type": true, "PodDisruptionBudget deprecated api-removed": true,
	"CustomResourceDefinition testcrds.testcrdgroups.example.com api-removed": true,
	"CustomResourceDefinition tests.test.io api-removed":                      true,
	"Deployment ingress-nginx/ingress-nginx-controller duplicate-key":         true, // two names for port 80
}

// What kustomize and helm made of other people's manifests: the decoder that the API server uses is asked
// about each object, and must say the same of fields and types.
func TestConformance(t *testing.T) {
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, clientscheme.Scheme,
		clientscheme.Scheme, serializer.SerializerOptions{Strict: true})
	checked := 0
	for name, text := range expected(t) {
		list, err := object.Read(strings.NewReader(text), name)
		if err != nil {
			continue // the stream is not a set of objects
		}
		v, err := schema.New(schema.Options{Definitions: list})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			found, unchecked := v.Check(o)
			typed := false
			for _, f := range found {
				typed = typed || f.Rule == "unknown-field" || f.Rule == "wrong-type"
				if !strings.HasPrefix(name, "krusty/") && !trulyWrong[o.Ref().String()+" "+f.Rule] {
					t.Errorf("%s: %s: %s: %s", name, o.Ref(), f.Rule, f.Message)
				}
			}
			if len(unchecked) > 0 || len(found) > 0 && (found[0].Rule == "api-removed") {
				continue
			}
			checked++
			body, err := json.Marshal(o.Body)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = strict.Decode(body, nil, nil)
			if runtime.IsNotRegisteredError(err) {
				continue
			}
			if (err != nil) != typed {
				t.Errorf("%s: %s: found %v, the decoder of the API says %v", name, o.Ref(), found, err)
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d objects", checked)
	}
}

// expected are what kustomize and helm printed.
func expected(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join(foldertest.Conformance(t, "the check of other people's objects"), "expected")
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".yaml" {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		out[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
