package release

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/cluster"
)

const (
	recordType = cluster.RecordType
	// partOf labels the chunks of a record that is too long for one Secret, with the name of its head.
	partOf = "slipway.dev/record"
	// A Secret holds 1 MiB.
	chunkSize = 900_000

	summaryKey = "summary"
	dataKey    = "data"
	digestKey  = "digest"
	chunksKey  = "chunks"
)

// record is a small summary with a name in a namespace, which lists read, and data of any length.
type record struct {
	name    string
	labels  map[string]string
	summary []byte
	data    []byte
	// version is the resourceVersion; empty for a new record.
	version string
	// chunks is the number of Secrets that hold the data, when the head does not.
	chunks int
	// head is the Secret that a list has read; nil otherwise.
	head *corev1.Secret
}

// listRecords lists the records that have the labels, without their data, by name.
func listRecords(ctx context.Context, c *cluster.Cluster, selector map[string]string) ([]record, error) {
	heads, err := cluster.ListSecrets(ctx, c, recordType, selectHeads(selector))
	return recordsOf(heads), err
}

func selectHeads(selector map[string]string) string {
	return strings.TrimSuffix("!"+partOf+",!"+approvalLabel+","+labels.Set(selector).String(), ",")
}

// recordsOf are the records of some heads, by name.
func recordsOf(heads []corev1.Secret) []record {
	records := make([]record, len(heads))
	for i := range heads {
		records[i] = headOf(&heads[i])
		records[i].head = &heads[i]
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.name, b.name) })
	return records
}

// few is more than the records of one environment, and not worth a second list.
const few = 2 * kept

// shelf is the records of an environment, and those of others in its namespace.
type shelf struct {
	own, others []record
	// whole: others are all.
	whole bool
}

// listShelf lists the records with the labels. Where the namespace has few records it lists the others too.
func listShelf(ctx context.Context, c *cluster.Cluster, selector map[string]string) (shelf, error) {
	heads, whole, err := cluster.ListFewSecrets(ctx, c, recordType, selectHeads(nil), few)
	if err != nil {
		return shelf{}, err
	}
	if !whole {
		own, err := listRecords(ctx, c, selector)
		return shelf{own: own}, err
	}
	s := shelf{whole: true}
	isOwn := labels.SelectorFromSet(selector)
	for _, r := range recordsOf(heads) {
		if isOwn.Matches(labels.Set(r.labels)) {
			s.own = append(s.own, r)
		} else {
			s.others = append(s.others, r)
		}
	}
	return s, nil
}

// read returns the whole of a record that was listed; false where it has to be read.
func (s shelf) read(ctx context.Context, c *cluster.Cluster, name string) (record, bool) {
	for _, r := range slices.Concat(s.own, s.others) {
		if r.name != name || r.chunks > 0 {
			continue
		}
		data, err := assemble(ctx, c, r.head)
		r.data = data
		return r, err == nil
	}
	return record{}, false
}

// readRecord reads one record whole; false when it does not exist.
func readRecord(ctx context.Context, c *cluster.Cluster, name string) (record, bool, error) {
	for try := 1; ; try++ {
		head, err := cluster.ReadSecret(ctx, c, name)
		if err != nil || head == nil {
			return record{}, false, err
		}
		r := headOf(head)
		if r.data, err = assemble(ctx, c, head); err == nil {
			return r, true, nil
		}
		// Another client may be rewriting the record, and have deleted the chunks that this head names.
		if damaged := (*damagedError)(nil); try == 3 || !errors.As(err, &damaged) {
			return record{}, false, fmt.Errorf("read record %s: %w", name, err)
		}
	}
}

// writeRecord writes a record whole or not at all: the head comes last. It fails with cluster.ErrChanged when
// a new record exists already, or when another client wrote the record since it was read.
func writeRecord(ctx context.Context, c *cluster.Cluster, r record) (record, error) {
	head, chunks := secretsOf(r)
	for _, chunk := range chunks {
		if _, err := cluster.WriteSecret(ctx, c, chunk); err != nil && !errors.Is(err, cluster.ErrChanged) {
			return r, err
		}
	}
	before := r.chunks
	var err error
	if r.version, err = writeHead(ctx, c, head); err != nil {
		return r, err
	}
	if r.chunks = len(chunks); before == 0 {
		return r, nil
	}
	return r, sweep(ctx, c, r.name, chunks)
}

// deleteRecord deletes a record with all its chunks. A record that does not exist is not an error.
func deleteRecord(ctx context.Context, c *cluster.Cluster, name string) error {
	if err := cluster.DeleteSecret(ctx, c, name); err != nil {
		return err
	}
	return sweep(ctx, c, name, nil)
}

// headTries is how often a head is written that a conflict says has changed, and has not.
const headTries = 5

func writeHead(ctx context.Context, c *cluster.Cluster, head *corev1.Secret) (version string, err error) {
	for try := 1; ; try++ {
		written, err := cluster.WriteSecret(ctx, c, head)
		if err == nil {
			return written.ResourceVersion, nil
		}
		if !errors.Is(err, cluster.ErrChanged) {
			return "", err
		}
		current, readErr := cluster.ReadSecret(ctx, c, head.Name)
		if readErr != nil {
			return "", readErr
		}
		if current == nil {
			current = &corev1.Secret{}
		}
		switch {
		case maps.EqualFunc(current.Data, head.Data, bytes.Equal):
			// The answer to our own write was lost, and this is the answer to its retry.
			return current.ResourceVersion, nil
		case current.ResourceVersion != head.ResourceVersion || try == headTries:
			return "", err
		}
	}
}

// sweep deletes the chunks of a record, except those to keep.
func sweep(ctx context.Context, c *cluster.Cluster, name string, keep []*corev1.Secret) error {
	chunks, err := cluster.ListSecrets(ctx, c, recordType, partOf+"="+name)
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		if slices.ContainsFunc(keep, func(k *corev1.Secret) bool { return k.Name == chunk.Name }) {
			continue
		}
		if err := cluster.DeleteSecret(ctx, c, chunk.Name); err != nil {
			return err
		}
	}
	return nil
}

// damagedError says that the Secrets of a record do not belong together.
type damagedError struct{ reason string }

func (e *damagedError) Error() string { return e.reason }

// assemble returns the data of a record.
func assemble(ctx context.Context, c *cluster.Cluster, head *corev1.Secret) ([]byte, error) {
	packed, want := head.Data[dataKey], string(head.Data[digestKey])
	n := chunksOf(head)
	for i := range n {
		part, err := cluster.ReadSecret(ctx, c, chunkName(head.Name, want, i))
		if err != nil {
			return nil, err
		}
		if part == nil {
			return nil, &damagedError{fmt.Sprintf("part %d of %d is missing", i+1, n)}
		}
		packed = append(packed, part.Data[dataKey]...)
	}
	if digest(packed) != want {
		return nil, &damagedError{"its content does not match its digest"}
	}
	return packed, nil
}

// chunksOf returns how many chunks a head names; 0 when it holds the data itself.
func chunksOf(head *corev1.Secret) int {
	n, _ := strconv.Atoi(string(head.Data[chunksKey]))
	return n
}

func headOf(s *corev1.Secret) record {
	return record{
		name: s.Name, labels: s.Labels, summary: s.Data[summaryKey],
		version: s.ResourceVersion, chunks: chunksOf(s),
	}
}

// secretsOf returns the head of a record, and chunks for data that does not fit into it. The names of chunks
// depend on the content, so that earlier ones stay readable until the head names the new ones.
func secretsOf(r record) (head *corev1.Secret, chunks []*corev1.Secret) {
	d := digest(r.data)
	head = secretOf(r.name, r.labels, map[string][]byte{summaryKey: r.summary, digestKey: []byte(d)})
	head.ResourceVersion = r.version
	if len(r.data) <= chunkSize {
		head.Data[dataKey] = r.data
		return head, nil
	}
	for part := range slices.Chunk(r.data, chunkSize) {
		name := chunkName(r.name, d, len(chunks))
		chunks = append(chunks, secretOf(name, map[string]string{partOf: r.name}, map[string][]byte{dataKey: part}))
	}
	head.Data[chunksKey] = []byte(strconv.Itoa(len(chunks)))
	return head, chunks
}

func secretOf(name string, marks map[string]string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: marks}, Type: recordType, Data: data}
}

func chunkName(record, digest string, i int) string {
	return fmt.Sprintf("%s.%.12s.%d", record, digest, i)
}

func digest(packed []byte) string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:])
}
