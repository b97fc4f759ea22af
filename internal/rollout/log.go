package rollout

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

const (
	maxLogLines = 15
	// maxReadLines and maxReadBytes of the end of a log are searched for the line with which a crash begins.
	maxReadLines = 5000
	maxReadBytes = 1 << 20
	// maxScanBytes bounds the search from the start when the stack is longer. Kubelets keep 10 MiB of a log.
	maxScanBytes = 16 << 20
)

// addLogs reads the last lines of a container that has run. A missing permission becomes a note, not an
// error.
func (w *waiter) addLogs(ctx context.Context, e *Evidence, s symptom) {
	if s.pod == nil || s.reason == "StartError" || s.reason == "ContainerCannotRun" {
		return
	}
	i := slices.IndexFunc(statuses(s.pod), func(st corev1.ContainerStatus) bool {
		return st.Name == s.container
	})
	if i < 0 {
		return
	}
	st := statuses(s.pod)[i]
	if st.State.Waiting != nil && st.LastTerminationState.Terminated == nil {
		return
	}
	previous := st.State.Terminated == nil && st.LastTerminationState.Terminated != nil && s.exit != nil
	list, err := w.logLines(ctx, s, previous)
	if err != nil && previous && !apierrors.IsForbidden(err) {
		previous = false
		list, err = w.logLines(ctx, s, previous)
	}
	switch {
	case apierrors.IsForbidden(err):
		e.Notes = append(e.Notes, "logs not permitted: get pods/log")
	case err != nil:
		e.Notes = append(e.Notes, fmt.Sprintf("logs not read: %v", err))
	default:
		e.LogLines, e.Previous = list, previous
	}
}

// logLines returns the last lines of a log and, of a crash, the line with which it begins.
func (w *waiter) logLines(ctx context.Context, s symptom, previous bool) ([]string, error) {
	text, err := w.log(s, previous, maxReadLines, maxReadBytes).DoRaw(ctx)
	whole := len(text) < maxReadBytes && bytes.Count(text, []byte("\n")) < maxReadLines
	if err != nil || whole {
		return lines(text, w.secrets), err
	}
	// The limit in bytes has cut off the end, and the one in lines the beginning.
	if text, err = w.log(s, previous, maxLogLines, 0).DoRaw(ctx); err != nil {
		return nil, err
	}
	list := lines(text, w.secrets)
	first := w.crashLine(ctx, s, previous)
	if first == "" || slices.Contains(list, first) {
		return list, nil
	}
	return append([]string{first, "…"}, list[min(2, len(list)):]...), nil
}

// crashLine returns the line with which a crash begins, however long its stack is: Go prints one for each
// goroutine. A log that cannot be read from its start has none.
func (w *waiter) crashLine(ctx context.Context, s symptom, previous bool) string {
	stream, err := w.log(s, previous, 0, maxScanBytes).Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	list := bufio.NewScanner(stream)
	list.Buffer(nil, maxReadBytes)
	for list.Scan() {
		if panics().Match(list.Bytes()) {
			return clean(strings.TrimRight(list.Text(), " \t\r"), w.secrets)
		}
	}
	return ""
}

// log is a request for the last lines of a log, or for its first bytes; 0: unlimited.
func (w *waiter) log(s symptom, previous bool, tail, limit int64) *rest.Request {
	o := &corev1.PodLogOptions{Container: s.container, Previous: previous}
	if tail > 0 {
		o.TailLines = &tail
	}
	if limit > 0 {
		o.LimitBytes = &limit
	}
	return w.c.Typed().CoreV1().Pods(s.pod.Namespace).GetLogs(s.pod.Name, o)
}

// panics matches the line with which a crash begins, in the words of Go, Rust, Python and the JVM.
var panics = lazyregexp.New(`^(panic: |fatal error: |thread '.*' panicked at |` +
	`Traceback \(most recent call last\)|Exception in thread )`)

// lines splits a log into lines that are safe for a terminal and for JSON, and returns the last ones. Of a
// crash whose stack is longer it keeps the first line too.
func lines(text []byte, secrets []string) []string {
	var list []string
	begin := -1
	for line := range strings.SplitSeq(object.Mask(strings.ToValidUTF8(string(text), "\uFFFD"), secrets), "\n") {
		line = strings.TrimRight(printable(line), " \t\r")
		if line == "" {
			continue
		}
		if begin < 0 && panics().MatchString(line) {
			begin = len(list)
		}
		list = append(list, shorten(line))
	}
	last := max(0, len(list)-maxLogLines)
	if begin < 0 || begin >= last {
		return list[last:]
	}
	return append([]string{list[begin], fmt.Sprintf("… %d lines", last+2-begin-1)}, list[last+2:]...)
}

var escapes = lazyregexp.New(`\x1b(\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])`)

// printable removes colours and control characters: a container must not control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, escapes().ReplaceAllString(s, ""))
}

// clean masks Secret values in a message, and makes it safe for a terminal and for the record.
func clean(s string, secrets []string) string { return shorten(printable(object.Mask(s, secrets))) }

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
