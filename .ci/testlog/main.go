// Command testlog prints the output of "go test -json" as "go test" would, and then the tests that were
// skipped with their reasons. Without it, a skipped test looks like one that passed. It has no opinion on
// failures: in a pipeline with pipefail, the exit code is that of go test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := summarize(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
}

// event is what test2json writes for a line of output or the end of a test. Test is empty for a whole
// package.
type event struct{ Action, Package, Test, Output string }

// run is the output of the tests that have not ended yet, by package and test.
type run map[string]map[string]*strings.Builder

func summarize(in io.Reader, out io.Writer) error {
	unfinished := run{}
	var skipped []string
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			break
		}
		if err != nil && err != io.EOF {
			return err
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(out, line) // go itself failed
			continue
		}
		switch {
		case e.Action == "build-output", e.Action == "output" && e.Test == "" && isForPeople(e.Output):
			fmt.Fprint(out, e.Output)
		case e.Action == "output" && e.Test != "":
			unfinished.add(e)
		case e.Action == "skip" && e.Test != "":
			skipped = append(skipped, fmt.Sprintf("%s.%s: %s", e.Package, e.Test, reason(unfinished.take(e))))
		case e.Action == "pass" && e.Test != "":
			unfinished.take(e)
		case e.Action == "fail" && e.Test != "":
			fmt.Fprint(out, unfinished.take(e))
		case e.Action == "fail": // tests that a panic or the timeout ended have no event of their own
			for test := range unfinished[e.Package] {
				e.Test = test
				fmt.Fprint(out, unfinished.take(e))
			}
		}
	}
	if len(skipped) > 0 {
		fmt.Fprintf(out, "\nSkipped tests (%d):\n  %s\n", len(skipped), strings.Join(skipped, "\n  "))
	}
	return nil
}

func (r run) add(e event) {
	if strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT, NAME
		return
	}
	if r[e.Package] == nil {
		r[e.Package] = map[string]*strings.Builder{}
	}
	if r[e.Package][e.Test] == nil {
		r[e.Package][e.Test] = &strings.Builder{}
	}
	r[e.Package][e.Test].WriteString(e.Output)
}

func (r run) take(e event) string {
	text := r[e.Package][e.Test]
	if text == nil {
		return ""
	}
	delete(r[e.Package], e.Test)
	return text.String()
}

func isForPeople(output string) bool {
	return output != "PASS\n" && !strings.HasPrefix(output, "=== ") && !strings.HasSuffix(output,
		"[no test files]\n")
}

// reason is the argument of Skip: the last line of a skipped test before its result, without file and line.
func reason(output string) string {
	text, _, _ := strings.Cut(output, "--- SKIP")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if place, why, found := strings.Cut(last, ": "); found && strings.Contains(place, ".go:") {
		return why
	}
	return last
}
