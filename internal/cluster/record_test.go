package cluster

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

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
		head, chunks, err := secretsOf(Record{Name: "r", Data: noise(n)})
		if err != nil {
			t.Fatal(err)
		}
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

	if _, found, err := c.Record(t.Context(), "r.1"); err != nil || found {
		t.Fatalf("a record before the first: %v, %v", found, err)
	}
	r, err := c.PutRecord(t.Context(), Record{Name: "r.1", Labels: labels, Summary: []byte("one"), Data: big})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRecord(t.Context(), Record{Name: "r.1", Data: []byte("mine")}); !errors.Is(err,
		ErrRecordChanged) {
		t.Errorf("a second first record: %v", err)
	}
	checkRecord(t, c, "r.1", "one", big)

	stale := r
	r.Summary, r.Data = []byte("two"), noise(2*chunkSize+2)
	if r, err = c.PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, c, "r.1", "two", r.Data)
	if n := countSecrets(t, c); n != 4 {
		t.Errorf("%d Secrets after writing again, want the head and three chunks", n)
	}
	stale.Data = []byte("late")
	if _, err := c.PutRecord(t.Context(), stale); !errors.Is(err, ErrRecordChanged) {
		t.Errorf("a stale write: %v", err)
	}
	checkRecord(t, c, "r.1", "two", r.Data)

	r.Data = []byte("small")
	if r, err = c.PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, c, "r.1", "two", r.Data)
	if n := countSecrets(t, c); n != 1 {
		t.Errorf("%d Secrets for a small record", n)
	}

	if _, err := c.PutRecord(t.Context(), Record{Name: "r.2", Labels: map[string]string{"env": "dev"},
		Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	list, err := c.Records(t.Context(), labels)
	if err != nil || len(list) != 1 || list[0].Name != "r.1" || string(list[0].Summary) != "two" ||
		list[0].Version != r.Version {
		t.Errorf("list: %+v, %v", list, err)
	}
	for range 2 {
		if err := c.DeleteRecord(t.Context(), "r.1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := countSecrets(t, c); n != 1 {
		t.Errorf("%d Secrets after deleting one of two records", n)
	}
}

// Whoever dies while writing leaves what was there before, or nothing.
func TestTornWrite(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.editor
	tear := func(name string, data []byte) {
		_, chunks, err := secretsOf(Record{Name: name, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range chunks {
			if _, err := c.secrets().Create(t.Context(), chunk, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before, after := noise(chunkSize+100), noise(chunkSize+101)
	tear("r.1", before)
	if _, found, err := c.Record(t.Context(), "r.1"); found || err != nil {
		t.Errorf("chunks without a head are a record: %v", err)
	}
	if list, err := c.Records(t.Context(), nil); len(list) != 0 || err != nil {
		t.Errorf("chunks are listed: %v, %v", list, err)
	}
	if _, err := c.PutRecord(t.Context(), Record{Name: "r.1", Data: before}); err != nil {
		t.Fatal(err)
	}
	tear("r.1", after)
	checkRecord(t, c, "r.1", "", before)

	_, chunks, err := secretsOf(Record{Name: "r.1", Data: before})
	if err != nil {
		t.Fatal(err)
	}
	chunk := chunks[1].Name
	damage := []byte(`{"data": {"data": "AAAA"}}`)
	if _, err := c.typed.CoreV1().Secrets(c.namespace).Patch(t.Context(), chunk, types.MergePatchType, damage,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Record(t.Context(), "r.1"); err == nil || !strings.Contains(err.Error(),
		"does not match its digest") {
		t.Errorf("a damaged record: %v", err)
	}
	if err := c.remove(t.Context(), chunk); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Record(t.Context(), "r.1"); err == nil || !strings.Contains(err.Error(),
		"part 2 of 2 is missing") {
		t.Errorf("a record with a part missing: %v", err)
	}
}

func checkRecord(t *testing.T, c *Cluster, name, summary string, data []byte) {
	t.Helper()
	r, found, err := c.Record(t.Context(), name)
	if err != nil || !found || string(r.Summary) != summary || !bytes.Equal(r.Data, data) {
		t.Errorf("record %s: found %v, summary %q, %d bytes, %v", name, found, r.Summary, len(r.Data), err)
	}
}

func countSecrets(t *testing.T, c *Cluster) int {
	t.Helper()
	list, err := c.typed.CoreV1().Secrets(c.namespace).List(t.Context(),
		metav1.ListOptions{FieldSelector: "type=" + recordType})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}
