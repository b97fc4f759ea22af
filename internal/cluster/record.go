package cluster

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"slipway/internal/object"
)

// ErrRecordChanged says that somebody else wrote a record since it was read, or made it first.
var ErrRecordChanged = errors.New("somebody else wrote it meanwhile")

const (
	recordType = "slipway.dev/release"
	// partOf is on the chunks of a record that is too long for one Secret, and names its head.
	partOf = "slipway.dev/record"
	// A Secret holds 1 MiB.
	chunkSize = 900_000

	summaryKey = "summary"
	dataKey    = "data"
	digestKey  = "digest"
	chunksKey  = "chunks"
)

// Record is a named text that is kept in the cluster's namespace: a small summary, which lists
// read, and data of any length.
type Record struct {
	Name    string
	Labels  map[string]string
	Summary []byte
	Data    []byte
	// Version is the server's; empty for a record that is new.
	Version string
}

// Records are the records that carry the labels, without their data, by name.
func (c *Cluster) Records(ctx context.Context, selector map[string]string) ([]Record, error) {
	heads, err := c.listSecrets(ctx, strings.TrimSuffix("!"+partOf+","+labels.Set(selector).String(), ","))
	records := make([]Record, len(heads))
	for i := range heads {
		records[i] = headOf(&heads[i])
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Name, b.Name) })
	return records, err
}

// Record reads one record whole; false when there is none.
func (c *Cluster) Record(ctx context.Context, name string) (Record, bool, error) {
	for try := 1; ; try++ {
		head, err := c.secrets().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return Record{}, false, nil
		}
		if err != nil {
			return Record{}, false, c.explain(ctx, "read", c.secretRef(name), err)
		}
		r := headOf(head)
		if r.Data, err = c.assemble(ctx, head); err == nil {
			return r, true, nil
		}
		// Whoever rewrites the record sweeps the chunks that the head named when we read it.
		if try == 3 || noAnswer(err) {
			return Record{}, false, c.explain(ctx, "read", c.secretRef(name), err)
		}
	}
}

// PutRecord writes a record, whole or not at all: the head, by which it is read, comes last. A
// record with no Version must be new, another one unchanged; else ErrRecordChanged.
func (c *Cluster) PutRecord(ctx context.Context, r Record) (Record, error) {
	head, chunks, err := secretsOf(r)
	if err != nil {
		return r, err
	}
	for _, chunk := range chunks {
		if _, err := c.secrets().Create(ctx, chunk, metav1.CreateOptions{FieldManager: Manager}); err != nil &&
			!apierrors.IsAlreadyExists(err) {
			return r, c.explain(ctx, "write", c.secretRef(chunk.Name), err)
		}
	}
	if r.Version, err = c.putHead(ctx, head); err != nil {
		return r, err
	}
	return r, c.sweep(ctx, r.Name, chunks)
}

// DeleteRecord removes a record; that there is none is no error.
func (c *Cluster) DeleteRecord(ctx context.Context, name string) error {
	if err := c.remove(ctx, name); err != nil {
		return err
	}
	return c.sweep(ctx, name, nil)
}

func (c *Cluster) putHead(ctx context.Context, head *corev1.Secret) (version string, err error) {
	var written *corev1.Secret
	if head.ResourceVersion == "" {
		written, err = c.secrets().Create(ctx, head, metav1.CreateOptions{FieldManager: Manager})
	} else {
		written, err = c.secrets().Update(ctx, head, metav1.UpdateOptions{FieldManager: Manager})
	}
	if err == nil {
		return written.ResourceVersion, nil
	}
	if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
		return "", c.explain(ctx, "write", c.secretRef(head.Name), err)
	}
	// The answer to our own write may have been lost, and this be the answer to its repetition.
	there, err := c.secrets().Get(ctx, head.Name, metav1.GetOptions{})
	if err == nil && maps.EqualFunc(there.Data, head.Data, bytes.Equal) {
		return there.ResourceVersion, nil
	}
	return "", fmt.Errorf("record %s: %w", head.Name, ErrRecordChanged)
}

// sweep removes the record's chunks, except those to keep.
func (c *Cluster) sweep(ctx context.Context, name string, keep []*corev1.Secret) error {
	chunks, err := c.listSecrets(ctx, partOf+"="+name)
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		if slices.ContainsFunc(keep, func(k *corev1.Secret) bool { return k.Name == chunk.Name }) {
			continue
		}
		if err := c.remove(ctx, chunk.Name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) remove(ctx context.Context, name string) error {
	err := c.secrets().Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain(ctx, "delete", c.secretRef(name), err)
}

func (c *Cluster) listSecrets(ctx context.Context, selector string) ([]corev1.Secret, error) {
	list, err := c.secrets().List(ctx, metav1.ListOptions{LabelSelector: selector,
		FieldSelector: "type=" + recordType})
	if err != nil {
		return nil, c.explain(ctx, "list", c.secretRef("records"), err)
	}
	return list.Items, nil
}

func (c *Cluster) secrets() clientcorev1.SecretInterface {
	return c.typed.CoreV1().Secrets(c.namespace)
}

func (c *Cluster) secretRef(name string) object.Ref {
	return object.Ref{Kind: "Secret", Namespace: c.namespace, Name: name}
}

// assemble gives the data that a head stands for.
func (c *Cluster) assemble(ctx context.Context, head *corev1.Secret) ([]byte, error) {
	packed, want := head.Data[dataKey], string(head.Data[digestKey])
	n, _ := strconv.Atoi(string(head.Data[chunksKey])) // none: the head holds it all
	for i := range n {
		part, err := c.secrets().Get(ctx, chunkName(head.Name, want, i), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("part %d of %d is missing", i+1, n)
		}
		if err != nil {
			return nil, err
		}
		packed = append(packed, part.Data[dataKey]...)
	}
	if digest(packed) != want {
		return nil, errors.New("its content does not match its digest")
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func headOf(s *corev1.Secret) Record {
	return Record{Name: s.Name, Labels: s.Labels, Summary: s.Data[summaryKey], Version: s.ResourceVersion}
}

// secretsOf are a record's head, and the chunks for what does not fit into it. Their names come
// from their content, so that those of an earlier writing stay readable until the head names the
// new ones.
func secretsOf(r Record) (head *corev1.Secret, chunks []*corev1.Secret, err error) {
	packed, err := pack(r.Data)
	if err != nil {
		return nil, nil, err
	}
	d := digest(packed)
	head = secretOf(r.Name, r.Labels, map[string][]byte{summaryKey: r.Summary, digestKey: []byte(d)})
	head.ResourceVersion = r.Version
	if len(packed) <= chunkSize {
		head.Data[dataKey] = packed
		return head, nil, nil
	}
	for part := range slices.Chunk(packed, chunkSize) {
		name := chunkName(r.Name, d, len(chunks))
		chunks = append(chunks, secretOf(name, map[string]string{partOf: r.Name}, map[string][]byte{dataKey: part}))
	}
	head.Data[chunksKey] = []byte(strconv.Itoa(len(chunks)))
	return head, chunks, nil
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

func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}
