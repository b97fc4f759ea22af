package rollout

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// LogLine is one line of the log of a container. It is safe to print, and contains none of the secrets.
type LogLine struct {
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	Time      time.Time `json:"time"`
	Text      string    `json:"text"`
}

// LogOptions say which lines are read.
type LogOptions struct {
	// Previous reads the containers that ran before the last restart.
	Previous bool
	// Secrets are hidden: see object.SecretValues.
	Secrets []string
}

const (
	// maxTailLines and maxLogBytes of each container are read: a line may have any length.
	maxTailLines = 500
	maxLogBytes  = 256 << 10
	// maxTailed is how many containers are read.
	maxTailed = 50
)

// Tail is the end of the logs of a workload.
type Tail struct {
	Lines []LogLine
	// Pods are the names of its pods.
	Pods []string
	// Notes say what could not be read.
	Notes []string
}

// ReadLogs reads the last lines of all containers of all pods of a live workload, in the order of their time.
func ReadLogs(ctx context.Context, c *cluster.Cluster, live object.Object, o LogOptions) (Tail, error) {
	var t Tail
	sources, err := logSources(ctx, c, live)
	if err != nil {
		return t, err
	}
	if n := len(sources) - maxTailed; n > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%d more containers are not read", n))
		sources = sources[:maxTailed]
	}
	lines, errs := make([][]LogLine, len(sources)), make([]error, len(sources))
	cluster.Each(len(sources), func(i int) { lines[i], errs[i] = readTail(ctx, c, sources[i], o) })
	for i, s := range sources {
		if !slices.Contains(t.Pods, s.pod.Name) {
			t.Pods = append(t.Pods, s.pod.Name)
		}
		if errs[i] != nil {
			t.Notes = append(t.Notes, fmt.Sprintf("%s %s: %v", s.pod.Name, s.container,
				c.Explain(ctx, "get", object.Ref{Kind: "Pod", Namespace: s.pod.Namespace, Name: s.pod.Name}, errs[i])))
		}
	}
	t.Lines = slices.Concat(lines...)
	slices.SortStableFunc(t.Lines, func(a, b LogLine) int { return a.Time.Compare(b.Time) })
	return t, ctx.Err()
}

// logSource is a container that has run.
type logSource struct {
	pod       corev1.Pod
	container string
}

func logSources(ctx context.Context, c *cluster.Cluster, live object.Object) ([]logSource, error) {
	ref := live.Ref()
	options := metav1.ListOptions{FieldSelector: "metadata.name=" + ref.Name}
	if ref.Kind != "Pod" {
		selector, err := selectorOf(live)
		if err != nil || selector == nil {
			return nil, err
		}
		options = selected(selector)
	}
	list, err := c.Typed().CoreV1().Pods(ref.Namespace).List(ctx, options)
	if err != nil {
		return nil, c.Explain(ctx, "list", object.Ref{Kind: "Pod", Namespace: ref.Namespace}, err)
	}
	var sources []logSource
	for _, pod := range list.Items {
		for _, s := range statuses(&pod) {
			if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
				sources = append(sources, logSource{pod, s.Name})
			}
		}
	}
	return sources, nil
}

func readTail(ctx context.Context, c *cluster.Cluster, s logSource, o LogOptions) ([]LogLine, error) {
	limit, tail := int64(maxLogBytes), int64(maxTailLines)
	text, err := c.Typed().CoreV1().Pods(s.pod.Namespace).GetLogs(s.pod.Name, &corev1.PodLogOptions{
		Container: s.container, Previous: o.Previous, Timestamps: true, TailLines: &tail, LimitBytes: &limit,
	}).DoRaw(ctx)
	var lines []LogLine
	for line := range bytes.Lines(text) {
		if l, ok := s.line(string(line), o.Secrets); ok {
			lines = append(lines, l)
		}
	}
	return lines, err
}

// line reads "2026-11-30T12:00:00.123456789Z text".
func (s logSource) line(raw string, secrets []string) (LogLine, bool) {
	stamp, text, _ := strings.Cut(strings.TrimRight(raw, "\r\n"), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	text = clean(strings.ToValidUTF8(text, "\uFFFD"), secrets)
	return LogLine{Pod: s.pod.Name, Container: s.container, Time: at, Text: text}, err == nil && text != ""
}

// FollowLogs calls take with each new line of the pods that a live workload has now, one line at a time,
// until the context or all the logs end.
func FollowLogs(
	ctx context.Context, c *cluster.Cluster, live object.Object, o LogOptions, take func(LogLine),
) error {
	sources, err := logSources(ctx, c, live)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	errs := make([]error, min(len(sources), maxTailed))
	for i, s := range sources[:len(errs)] {
		all.Go(func() {
			errs[i] = followTail(ctx, c, s, o, func(l LogLine) {
				mu.Lock()
				defer mu.Unlock()
				take(l)
			})
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

func followTail(
	ctx context.Context, c *cluster.Cluster, s logSource, o LogOptions, take func(LogLine),
) error {
	none := int64(0)
	stream, err := c.Typed().CoreV1().Pods(s.pod.Namespace).GetLogs(s.pod.Name, &corev1.PodLogOptions{
		Container: s.container, Follow: true, Timestamps: true, TailLines: &none,
	}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, maxMessage*4)
	for {
		raw, isPrefix, err := lines.ReadLine()
		if err != nil {
			return nil //nolint:nilerr // the container has ended, or the reader
		}
		if l, ok := s.line(string(raw), o.Secrets); ok {
			take(l)
		}
		for isPrefix && err == nil { // the rest of a line that is too long
			_, isPrefix, err = lines.ReadLine()
		}
	}
}
