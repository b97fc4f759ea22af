package schema_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"slipway/internal/object"
	"slipway/internal/schema"
)

// trulyWrong are the faults of the charts. Kustomize's own suite is full of objects that no server takes:
// of that only the decoder is asked.
var trulyWrong = map[string]bool{
	"Pod rel-my-alpine wrong-type": true, "PodDisruptionBudget deprecated api-removed": true,
	"CustomResourceDefinition testcrds.testcrdgroups.example.com api-removed": true, "CustomResourceDefinition tests.test.io api-removed": true,
}

// What kustomize and helm made of other people's manifests: the decoder that the API server uses is asked
// about each object, and must say the same of fields and types.
func TestConformance(t *testing.T) {
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, clientscheme.Scheme, clientscheme.Scheme, serializer.SerializerOptions{Strict: true})
	checked := 0
	for name, text := range expected(t) {
		list, err := object.Read(strings.NewReader(text), name)
		if err != nil {
			continue // a stream that is no set of objects
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

// expected are the files of the pack of cases that lies beside the project.
func expected(t *testing.T) map[string]string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "conformance")
	}
	packed, err := os.Open(filepath.Join(dir, "render.tar.xz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the check of other people's objects is left out: there is no render.tar.xz in %s (SLIPWAY_CONFORMANCE names another folder)", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := xz.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for files := tar.NewReader(plain); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, name, ok := strings.Cut(h.Name, "expected/"); ok && h.Typeflag == tar.TypeReg && strings.HasSuffix(name, ".yaml") {
			text, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(text)
		}
	}
}
