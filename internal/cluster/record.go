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

	"slipway/internal/object"
)

// ErrRecordChanged says that somebody else wrote a record since it was read, or made it first.
var ErrRecordChanged = errors.New("the record was written by somebody else meanwhile")

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
	terms := []string{"!" + partOf}
	if len(selector) > 0 {
		terms = append(terms, labels.FormatLabels(selector))
	}
	options := metav1.ListOptions{LabelSelector: strings.Join(terms, ","), FieldSelector: "type=" + recordType}
	var list *corev1.SecretList
	err := c.call(ctx, func(ctx context.Context) (err error) {
		list, err = c.typed.CoreV1().Secrets(c.namespace).List(ctx, options)
		return err
	})
	if err != nil {
		return nil, c.explain("list", secretRef(c.namespace, "records"), err)
	}
	records := make([]Record, 0, len(list.Items))
	for i := range list.Items {
		records = append(records, headOf(&list.Items[i]))
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Name, b.Name) })
	return records, nil
}

// Record reads one record whole; false when there is none.
func (c *Cluster) Record(ctx context.Context, name string) (Record, bool, error) {
	for try := 1; ; try++ {
		head, found, err := c.secret(ctx, name)
		if err != nil || !found {
			return Record{}, false, err
		}
		data, err := c.assemble(ctx, head)
		if err == nil {
			r := headOf(head)
			r.Data = data
			return r, true, nil
		}
		// Whoever rewrites the record sweeps the chunks that the head named when we read it.
		if try == 3 || typed(err) || ctx.Err() != nil {
			return Record{}, false, fmt.Errorf("record %s: %w", name, err)
		}
	}
}

// PutRecord writes a record, whole or not at all: the head, by which it is read, comes last. A
// record with no Version must be new, another one unchanged; else ErrRecordChanged.
func (c *Cluster) PutRecord(ctx context.Context, r Record) (Record, error) {
	packed, err := pack(r.Data)
	if err != nil {
		return r, err
	}
	head := headSecret(r, packed)
	chunks := chunksOf(r.Name, packed)
	for _, chunk := range chunks {
		if err := c.create(ctx, chunk); err != nil && !apierrors.IsAlreadyExists(err) {
			return r, c.explain("write", secretRef(c.namespace, chunk.Name), err)
		}
	}
	written, err := c.putHead(ctx, head)
	if err != nil {
		return r, err
	}
	r.Version = written.ResourceVersion
	return r, c.sweep(ctx, r.Name, chunks)
}

// DeleteRecord removes a record; that there is none is no error.
func (c *Cluster) DeleteRecord(ctx context.Context, name string) error {
	if err := c.remove(ctx, name); err != nil {
		return err
	}
	return c.sweep(ctx, name, nil)
}

func (c *Cluster) putHead(ctx context.Context, head *corev1.Secret) (*corev1.Secret, error) {
	secrets := c.typed.CoreV1().Secrets(c.namespace)
	var written *corev1.Secret
	err := c.call(ctx, func(ctx context.Context) (err error) {
		if head.ResourceVersion == "" {
			written, err = secrets.Create(ctx, head, metav1.CreateOptions{FieldManager: Manager})
		} else {
			written, err = secrets.Update(ctx, head, metav1.UpdateOptions{FieldManager: Manager})
		}
		return err
	})
	if err == nil {
		return written, nil
	}
	if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
		return nil, c.explain("write", secretRef(c.namespace, head.Name), err)
	}
	// The answer to our own write may have been lost, and this be the answer to its repetition.
	there, found, getErr := c.secret(ctx, head.Name)
	if getErr == nil && found && maps.EqualFunc(there.Data, head.Data, bytes.Equal) {
		return there, nil
	}
	return nil, fmt.Errorf("record %s: %w", head.Name, ErrRecordChanged)
}

func (c *Cluster) create(ctx context.Context, s *corev1.Secret) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.typed.CoreV1().Secrets(c.namespace).Create(ctx, s, metav1.CreateOptions{FieldManager: Manager})
		return err
	})
}

func (c *Cluster) remove(ctx context.Context, name string) error {
	err := c.call(ctx, func(ctx context.Context) error {
		return c.typed.CoreV1().Secrets(c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain("delete", secretRef(c.namespace, name), err)
}

// sweep removes the record's chunks, except those to keep.
func (c *Cluster) sweep(ctx context.Context, name string, keep []*corev1.Secret) error {
	var list *corev1.SecretList
	err := c.call(ctx, func(ctx context.Context) (err error) {
		list, err = c.typed.CoreV1().Secrets(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: partOf + "=" + name})
		return err
	})
	if err != nil {
		return c.explain("list", secretRef(c.namespace, "records"), err)
	}
	for i := range list.Items {
		s := list.Items[i].Name
		if slices.ContainsFunc(keep, func(k *corev1.Secret) bool { return k.Name == s }) {
			continue
		}
		if err := c.remove(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) secret(ctx context.Context, name string) (*corev1.Secret, bool, error) {
	var s *corev1.Secret
	err := c.call(ctx, func(ctx context.Context) (err error) {
		s, err = c.typed.CoreV1().Secrets(c.namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	return s, err == nil, c.explain("read", secretRef(c.namespace, name), err)
}

// assemble gives the data that a head stands for.
func (c *Cluster) assemble(ctx context.Context, head *corev1.Secret) ([]byte, error) {
	packed := head.Data[dataKey]
	if text := string(head.Data[chunksKey]); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("the number of its parts is %q", text)
		}
		for i := range n {
			part, found, err := c.secret(ctx, chunkName(head.Name, string(head.Data[digestKey]), i))
			if err != nil {
				return nil, err
			}
			if !found {
				return nil, fmt.Errorf("part %d of %d is missing", i+1, n)
			}
			packed = append(packed, part.Data[dataKey]...)
		}
	}
	if digest(packed) != string(head.Data[digestKey]) {
		return nil, errors.New("its content does not match its digest")
	}
	return unpack(packed)
}

func headOf(s *corev1.Secret) Record {
	return Record{Name: s.Name, Labels: s.Labels, Summary: s.Data[summaryKey], Version: s.ResourceVersion}
}

func headSecret(r Record, packed []byte) *corev1.Secret {
	data := map[string][]byte{summaryKey: r.Summary, digestKey: []byte(digest(packed))}
	if n := pieces(packed); n == 1 {
		data[dataKey] = packed
	} else {
		data[chunksKey] = []byte(strconv.Itoa(n))
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: r.Name, Labels: r.Labels, ResourceVersion: r.Version},
		Type:       recordType, Data: data,
	}
}

// chunksOf are the Secrets besides the head. Their names come from their content, so that those of
// an earlier writing stay readable until the head names the new ones.
func chunksOf(name string, packed []byte) []*corev1.Secret {
	if pieces(packed) == 1 {
		return nil
	}
	var chunks []*corev1.Secret
	d := digest(packed)
	for part := range slices.Chunk(packed, chunkSize) {
		chunks = append(chunks, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: chunkName(name, d, len(chunks)), Labels: map[string]string{partOf: name}},
			Type:       recordType, Data: map[string][]byte{dataKey: part},
		})
	}
	return chunks
}

func pieces(packed []byte) int { return max(1, (len(packed)+chunkSize-1)/chunkSize) }

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
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func secretRef(namespace, name string) object.Ref {
	return object.Ref{Kind: "Secret", Namespace: namespace, Name: name}
}
