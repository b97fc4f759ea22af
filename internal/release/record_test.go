package release

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"slipway/internal/cluster"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// noise does not compress.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func TestPieces(t *testing.T) {
	for _, n := range []int{0, 1, chunkSize - 1000, chunkSize + 1, 3*chunkSize + 5} {
		head, chunks := secretsOf(record{name: "r", data: noise(n)})
		if want := (n + chunkSize - 1) / chunkSize; want > 1 && len(chunks) != want || want <= 1 && chunks != nil {
			t.Errorf("%d bytes: %d chunks", n, len(chunks))
		}
		if inHead := head.Data[dataKey] != nil; inHead == (chunks != nil) {
			t.Errorf("%d bytes: in the head %v, and %d chunks", n, inHead, len(chunks))
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.editor
	labels := map[string]string{"env": "prod"}
	big := noise(2*chunkSize + 1)

	if _, found, err := readRecord(t.Context(), c, "r.1"); err != nil || found {
		t.Fatalf("a record before the first: %v, %v", found, err)
	}
	r, err := writeRecord(t.Context(), c, record{name: "r.1", labels: labels, summary: []byte("one"), data: big})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeRecord(t.Context(), c, record{name: "r.1", data: []byte("mine")}); !errors.Is(err,
		cluster.ErrChanged) {
		t.Errorf("a second first record: %v", err)
	}
	checkRecord(t, c, "r.1", "one", big)

	stale := r
	r.summary, r.data = []byte("two"), noise(2*chunkSize+2)
	if r, err = writeRecord(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, c, "r.1", "two", r.data)
	if n := countSecrets(t, c); n != 4 {
		t.Errorf("%d Secrets after writing again, want the head and three chunks", n)
	}
	stale.data = []byte("late")
	if _, err := writeRecord(t.Context(), c, stale); !errors.Is(err, cluster.ErrChanged) {
		t.Errorf("a stale write: %v", err)
	}
	checkRecord(t, c, "r.1", "two", r.data)

	r.data = []byte("small")
	if r, err = writeRecord(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, c, "r.1", "two", r.data)
	if n := countSecrets(t, c); n != 1 {
		t.Errorf("%d Secrets for a small record", n)
	}

	if _, err := writeRecord(t.Context(), c, record{name: "r.2", labels: map[string]string{"env": "dev"},
		data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	list, err := listRecords(t.Context(), c, labels)
	if err != nil || len(list) != 1 || list[0].name != "r.1" || string(list[0].summary) != "two" ||
		list[0].version != r.version {
		t.Errorf("list: %+v, %v", list, err)
	}
	for range 2 {
		if err := deleteRecord(t.Context(), c, "r.1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := countSecrets(t, c); n != 1 {
		t.Errorf("%d Secrets after deleting one of two records", n)
	}
}

// A write that dies halfway leaves the earlier record, or none.
func TestTornWrite(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.editor
	tear := func(name string, data []byte) {
		_, chunks := secretsOf(record{name: name, data: data})
		for _, chunk := range chunks {
			if _, err := c.Typed().CoreV1().Secrets(c.Namespace()).Create(t.Context(), chunk,
				metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before, after := noise(chunkSize+100), noise(chunkSize+101)
	tear("r.1", before)
	if _, found, err := readRecord(t.Context(), c, "r.1"); found || err != nil {
		t.Errorf("chunks without a head are a record: %v", err)
	}
	if list, err := listRecords(t.Context(), c, nil); len(list) != 0 || err != nil {
		t.Errorf("chunks are listed: %v, %v", list, err)
	}
	if _, err := writeRecord(t.Context(), c, record{name: "r.1", data: before}); err != nil {
		t.Fatal(err)
	}
	tear("r.1", after)
	checkRecord(t, c, "r.1", "", before)

	_, chunks := secretsOf(record{name: "r.1", data: before})
	chunk := chunks[1].Name
	damage := []byte(`{"data": {"data": "AAAA"}}`)
	if _, err := c.Typed().CoreV1().Secrets(c.Namespace()).Patch(t.Context(), chunk,
		types.MergePatchType, damage,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readRecord(t.Context(), c, "r.1"); err == nil || !strings.Contains(err.Error(),
		"does not match its digest") {
		t.Errorf("a damaged record: %v", err)
	}
	if err := cluster.DeleteSecret(t.Context(), c, chunk); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readRecord(t.Context(), c, "r.1"); err == nil || !strings.Contains(err.Error(),
		"part 2 of 2 is missing") {
		t.Errorf("a record with a part missing: %v", err)
	}
}

func checkRecord(t *testing.T, c *cluster.Cluster, name, summary string, data []byte) {
	t.Helper()
	r, found, err := readRecord(t.Context(), c, name)
	if err != nil || !found || string(r.summary) != summary || !bytes.Equal(r.data, data) {
		t.Errorf("record %s: found %v, summary %q, %d bytes, %v", name, found, r.summary, len(r.data), err)
	}
}

func countSecrets(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	list, err := c.Typed().CoreV1().Secrets(c.Namespace()).List(t.Context(),
		metav1.ListOptions{FieldSelector: "type=" + recordType})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// A conflict that is none, or that is with our own write whose answer was lost, loses no record.
func TestRecordDespiteConflicts(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		t.Run(fmt.Sprintf("written before: %v", done), func(t *testing.T) {
			t.Parallel()
			var posts, puts atomic.Int64
			c := through(t, newPlace(t).Namespace, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					first := r.Method == http.MethodPost && posts.Add(1) == 1 ||
						r.Method == http.MethodPut && puts.Add(1) == 1
					if first && done {
						next.ServeHTTP(httptest.NewRecorder(), r)
						panic(http.ErrAbortHandler)
					}
					if first {
						rw.Header().Set("Content-Type", "application/json")
						rw.WriteHeader(http.StatusConflict)
						fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}`)
						return
					}
					next.ServeHTTP(rw, r)
				})
			})
			r, err := writeRecord(t.Context(), c, record{name: "r.1", summary: []byte("one"), data: []byte("a")})
			if err != nil {
				t.Fatal(err)
			}
			r.summary, r.data = []byte("two"), []byte("b")
			if _, err := writeRecord(t.Context(), c, r); err != nil {
				t.Fatal(err)
			}
			checkRecord(t, c, "r.1", "two", []byte("b"))
			if posts.Load() != 2 || puts.Load() != 2 {
				t.Errorf("%d creates and %d updates", posts.Load(), puts.Load())
			}
		})
	}
}
