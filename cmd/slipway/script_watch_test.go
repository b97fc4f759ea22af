package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/internal/agent/child"
	"slipway/internal/git/credential"
	"slipway/internal/image/builder"
	"slipway/internal/render"
)

const (
	heardFile   = "SLIPWAY_TEST_HEARD"
	heardScript = "SLIPWAY_TEST_SCRIPT"
	// mountedAccount is a directory that stands for the one that Kubernetes mounts a ServiceAccount at.
	mountedAccount = "SLIPWAY_TEST_SERVICEACCOUNT"
	// agentVariable is an address that stands for localAgent.
	agentVariable = "SLIPWAY_TEST_AGENT"
)

// heard is what a run of the program within a script leaves behind: its arguments, and the row of the
// table that explained its end.
type heard struct {
	Script string   `json:"script"`
	Args   []string `json:"args,omitempty"`
	Row    string   `json:"row,omitempty"`
	Hint   string   `json:"hint,omitempty"`
}

// watched is slipway as scripts run it. Where the script sets AT, the shell command DO runs as soon
// as slipway has said that text: other people's work, or `kill -KILL $PPID`, at a known moment.
func watched() {
	args := os.Args[1:]
	if code, is := credential.Main(args, os.Stdin, os.Stdout, os.Stderr); is {
		os.Exit(code)
	}
	if len(args) > 0 && (args[0] == builder.EngineArg || args[0] == child.Arg) {
		os.Exit(run(args, os.Stdin, os.Stdout, os.Stderr))
	}
	note(heard{Args: args})
	if dir := os.Getenv(mountedAccount); dir != "" {
		serviceAccountDir = dir
	}
	if address := os.Getenv(agentVariable); address != "" {
		agentAddress = address
	}
	for i, r := range rows {
		rows[i].match = func(err error) (string, bool) {
			hint, ok := r.match(err)
			if ok {
				note(heard{Row: r.name, Hint: hint})
			}
			return hint, ok
		}
	}
	if text := os.Getenv("AT"); text != "" {
		m := &moment{text: text, do: os.Getenv("DO"), stderr: os.Stderr}
		os.Exit(run(args, os.Stdin, m.after(os.Stdout), m.after(os.Stderr)))
	}
	os.Exit(run(args, os.Stdin, os.Stdout, os.Stderr))
}

func note(h heard) {
	h.Script = os.Getenv(heardScript)
	line, err := json.Marshal(h)
	if err != nil {
		panic(err)
	}
	f, err := os.OpenFile(os.Getenv(heardFile), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

// moment is when slipway says a text for the first time.
type moment struct {
	text, do string
	stderr   *os.File
	once     sync.Once
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (m *moment) after(w io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		if bytes.Contains(p, []byte(m.text)) {
			m.once.Do(m.act)
		}
		return n, err
	})
}

func (m *moment) act() {
	cmd := exec.Command("sh", "-c", m.do)
	cmd.Env = append(os.Environ(), "AT=", "DO=")
	cmd.Stdout, cmd.Stderr = m.stderr, m.stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(m.stderr, "DO %s: %v\n", m.do, err)
		os.Exit(99)
	}
}

// constructed are errors that no script can provoke: they depend on the machine, or are faults of ours.
var constructed = map[string]error{
	"no builder": fmt.Errorf("image web of dev: %w",
		&builder.NoBuilderError{Looked: []string{"unix:///run/buildkit/buildkitd.sock"},
			Reason: "the embedded engine needs Linux"}),
	"disk full":      fmt.Errorf("image web of dev: %w", &builder.FullError{Folder: "/cache"}),
	"renderer broke": &render.Error{Environment: "dev", Err: &render.PanicError{Value: "index out of range"}},
}

func TestConstructedRows(t *testing.T) {
	for name, want := range map[string]string{
		"no builder": `slipway: error: image web of dev: no BuildKit found: the embedded engine needs Linux; nothing answers at unix:///run/buildkit/buildkitd.sock
slipway: hint: Set BUILDKIT_HOST to a BuildKit that runs elsewhere.
`,
		"disk full": `slipway: error: image web of dev: the disk is full at /cache, where the embedded engine keeps its cache
slipway: hint: Free some space, delete that directory, or set XDG_CACHE_HOME to a larger file system. Nothing was tagged.
`,
		"renderer broke": `slipway: error: render dev: the renderer panicked: index out of range
slipway: hint: Report this bug in Slipway, with the manifests.
`,
	} {
		var b strings.Builder
		if code := explain(&b, constructed[name]); code != codeError || b.String() != want {
			t.Errorf("%s: exit code %d\n%s", name, code, b.String())
		}
	}
}

// checkHeard runs after all scripts: each row of the table must have ended a run of the program, in a
// script that expects its exit code and its hint; each flag of each verb must have been given.
func checkHeard(t *testing.T) {
	if wanted := flag.Lookup("test.run").Value.String(); strings.Contains(wanted, "/") || t.Failed() {
		return
	}
	all := readHeard(t)
	scripts := readScripts(t)
	for _, r := range rows {
		if constructed[r.name] == nil && !shown(r, all, scripts) {
			t.Errorf("row %q: no script provokes it and expects exit code %d and its hint", r.name, r.code)
		}
	}
	for _, missing := range unusedFlags(all) {
		t.Errorf("no script uses %s", missing)
	}
}

func readHeard(t *testing.T) []heard {
	b, err := os.ReadFile(os.Getenv(heardFile))
	if err != nil {
		t.Fatal(err)
	}
	var all []heard
	for line := range bytes.Lines(b) {
		var h heard
		if err := json.Unmarshal(line, &h); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

// expectations are what a script's lines ask for.
type expectations struct {
	codes []string
	hints []*regexp.Regexp
}

var hintLine = regexp.MustCompile(`^stderr '(hint: .*)'$`)

func readScripts(t *testing.T) map[string]expectations {
	paths, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	out := map[string]expectations{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var e expectations
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if f := strings.Fields(line); len(f) > 2 && f[0] == "code" {
				e.codes = append(e.codes, f[1])
			}
			if m := hintLine.FindStringSubmatch(line); m != nil {
				e.hints = append(e.hints, regexp.MustCompile(m[1]))
			}
		}
		out[strings.TrimSuffix(filepath.Base(p), ".txtar")] = e
	}
	return out
}

func shown(r row, all []heard, scripts map[string]expectations) bool {
	return slices.ContainsFunc(all, func(h heard) bool {
		e := scripts[h.Script]
		if h.Row != r.name || !slices.Contains(e.codes, fmt.Sprint(r.code)) {
			return false
		}
		return h.Hint == "" || slices.ContainsFunc(e.hints, func(re *regexp.Regexp) bool {
			return re.MatchString("hint: " + h.Hint)
		})
	})
}

// unusedFlags are the flags that no run was given, as "plan --exit-code".
func unusedFlags(all []heard) []string {
	used := map[string]bool{}
	for _, h := range all {
		if h.Args == nil {
			continue
		}
		cmd, rest, err := newRoot(&app{cli: &cli{}}).Find(h.Args)
		if err != nil || cmd.ParseFlags(rest) != nil {
			continue
		}
		cmd.Flags().Visit(func(f *pflag.Flag) {
			used[cmd.CommandPath()+" --"+f.Name] = true
			if cmd.InheritedFlags().Lookup(f.Name) != nil {
				used["slipway --"+f.Name], used["slipway sandbox --"+f.Name] = true, true
			}
		})
	}
	var missing []string
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if name := cmd.CommandPath() + " --" + f.Name; !used[name] {
				missing = append(missing, name)
			}
		})
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot(&app{cli: &cli{}}))
	return missing
}
