package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"slipway/internal/deploy"
	"slipway/internal/image/imagetest"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// picture is what a terminal shows, and the bytes that it was sent.
type picture struct {
	mu  sync.Mutex
	raw bytes.Buffer
}

// watch reads what a program writes to a terminal of 100 columns and 20 lines.
func watchTerminal(t *testing.T, program, person *os.File) *picture {
	t.Helper()
	size := &unix.Winsize{Row: 20, Col: 100}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	p := &picture{}
	go func() { _, _ = io.Copy(p, person) }() // ends with the terminal
	return p
}

func (p *picture) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.Write(b)
}

// sent waits until the terminal was sent a text, and returns all that it was sent.
func (p *picture) sent(t *testing.T, text string) string {
	t.Helper()
	return p.until(t, text, func(raw string) bool { return strings.Contains(raw, text) })
}

// until waits until the terminal was sent enough, and returns it.
func (p *picture) until(t *testing.T, what string, enough func(raw string) bool) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		p.mu.Lock()
		all := p.raw.String()
		p.mu.Unlock()
		if enough(all) {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("the terminal was never sent %q: %q", what, all)
		}
	}
}

var control = regexp.MustCompile(`^\x1b\[[?\d;]*([A-Za-z])`)

// drawn plays the bytes as a terminal does, and returns its lines.
func drawn(raw string) []string {
	lines, at := []string{""}, 0
	for raw != "" {
		if m := control.FindStringSubmatch(raw); m != nil {
			switch m[1] {
			case "A":
				at--
			case "K":
				lines[at] = ""
			}
			raw = raw[len(m[0]):]
			continue
		}
		c, size := utf8.DecodeRuneInString(raw)
		switch c {
		case '\n':
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
		case '\r':
		default:
			lines[at] += string(c)
		}
		raw = raw[size:]
	}
	return lines
}

// The objects that a rollout waits for have rows below the other lines; a healthy one gets a line of its own.
func TestConsoleOfRollout(t *testing.T) {
	web, api := object.Ref{Kind: "Deployment", Name: "web"}, object.Ref{Kind: "Deployment", Name: "api"}
	events := []deploy.Event{
		{Step: deploy.Act, Ref: &web, Message: "created", Done: plan.Create},
		{Step: deploy.Watch, Ref: &web, Message: "0 of 2 ready"},
		{Step: deploy.Watch, Ref: &api, Message: "0 of 3 ready"},
		{Step: deploy.Watch, Ref: &web, Message: "1 of 2 ready"},
		{Step: deploy.Watch, Message: "still waiting"},
		{Step: deploy.Watch, Ref: &api, Message: "1 of 3 ready"},
		{Step: deploy.Watch, Ref: &web, Message: "2 of 2 ready", Current: true},
		{Step: deploy.Record, Message: "recorded"},
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"terminal": {nil, []string{"  + Deployment web  created", "  · still waiting",
			"  · Deployment web  2 of 2 ready", "  · Deployment api  1 of 3 ready", "  · recorded", ""}},
		"NO_COLOR": {map[string]string{"NO_COLOR": "1"}, nil},
		"dumb":     {map[string]string{"TERM": "dumb"}, nil},
		"CI":       {map[string]string{"CI": "true"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			program, person := terminal(t)
			seen := watchTerminal(t, program, person)
			a := &cli{stderr: openConsole(program, func(key string) string { return test.env[key] })}
			for _, e := range events {
				a.progress(e)
			}
			raw := seen.sent(t, "recorded\r\n")
			if test.want == nil {
				if n := strings.Count(raw, "\n"); n != len(events) || strings.Contains(raw, "\x1b[1A") {
					t.Errorf("%d lines, want %d and no redrawing: %q", n, len(events), raw)
				}
				return
			}
			if diff := cmp.Diff(test.want, drawn(raw)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// More objects than half of the terminal's lines are counted: a terminal cannot go up beyond its first line.
func TestConsoleIsBounded(t *testing.T) {
	program, person := terminal(t)
	seen := watchTerminal(t, program, person)
	a := &cli{stderr: openConsole(program, func(string) string { return "" })}
	for i := range 30 {
		ref := object.Ref{Kind: "Deployment", Name: fmt.Sprintf("web-%d", i)}
		a.progress(deploy.Event{Step: deploy.Watch, Ref: &ref, Message: strings.Repeat("waiting ", 30)})
	}
	lines := drawn(seen.sent(t, "21 more in progress"))
	if len(lines) != 11 || lines[9] != "  · 21 more in progress" {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	for _, l := range lines {
		if n := len([]rune(l)); n >= 100 {
			t.Errorf("%d columns wrap: %q", n, l)
		}
	}
}

// A copy shows how far it is while the registry still sends, and leaves nothing of that.
func TestConsoleOfCopy(t *testing.T) {
	registry, other := imagetest.Start(t), imagetest.Start(t)
	imagetest.Push(registry+"/acme/web:1", imagetest.Image(1<<20, "amd64", nil))
	half := make(chan struct{})
	slow := httptest.NewServer(holding(&url.URL{Scheme: "http", Host: registry}, half))
	defer slow.Close()
	program, person := terminal(t)
	seen := watchTerminal(t, program, person)
	s := newShell(t, "copy", true)
	from := strings.TrimPrefix(slow.URL, "http://") + "/acme/web:1"
	_, _, err := s.run(fmt.Sprintf("TERM=xterm slipway image copy %s %s/acme/copy:1 2>%s &", from, other,
		program.Name()))
	if err != nil {
		t.Fatal(err)
	}
	raw := seen.sent(t, " of 2.1 MB")
	if !strings.Contains(raw, other+"/acme/copy:1") || !strings.Contains(raw, "━━━─") {
		t.Errorf("no bar: %q", raw)
	}
	close(half)
	lines, code, err := s.run("wait $!")
	if err != nil || code != 0 || len(lines) != 1 || !strings.HasPrefix(lines[0], other+"/acme/copy:1@sha256:") {
		t.Fatalf("%q, exit code %d, %v", lines, code, err)
	}
	// The end of the process is known before all that it wrote to its terminal.
	seen.until(t, "no row", func(raw string) bool {
		return !strings.Contains(strings.Join(drawn(raw), "\n"), "copying")
	})
}

// holding passes requests on, and answers those for large blobs with the first half until the channel is
// closed.
func holding(to *url.URL, half chan struct{}) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method != http.MethodGet || !strings.Contains(r.Request.URL.Path, "/blobs/") {
			return nil
		}
		text, err := io.ReadAll(r.Body)
		if n := len(text) / 2; n > 1<<18 { // not the configuration of the image
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text[:n]), waiting(half), bytes.NewReader(text[n:])))
		} else {
			r.Body = io.NopCloser(bytes.NewReader(text))
		}
		r.Header.Set("Content-Length", strconv.Itoa(len(text))) // as registries do, and that of the tests does not
		return err
	}
	proxy.FlushInterval = -1
	return proxy
}

// waiting ends when the channel is closed, and has no bytes.
type waiting chan struct{}

func (w waiting) Read([]byte) (int, error) { <-w; return 0, io.EOF }

// A deploy on a terminal shows the rows of its objects, and the same lines at its end as elsewhere.
func TestConsoleOfDeploy(t *testing.T) {
	program, person := terminal(t)
	seen := watchTerminal(t, program, person)
	s := newShell(t, "deploy", false)
	for _, typed := range []string{
		"cp -r examples/kustomize web && cd web && git init -q -b main && git add . && git commit -qm first",
		"TERM=xterm slipway deploy prod --yes 2>" + program.Name(),
	} {
		if lines, code, err := s.run(typed); err != nil || code != 0 {
			t.Fatalf("%s: exit code %d, %v: %q", typed, code, err, lines)
		}
	}
	raw := seen.sent(t, "stable for")
	if !strings.Contains(raw, "\x1b[1A\x1b[2K") {
		t.Errorf("nothing was redrawn: %q", raw)
	}
	all := strings.Join(drawn(raw), "\n")
	if strings.Count(all, "stable for") != 1 || strings.Contains(all, "0 of 3") {
		t.Errorf("older states are left: %s", all)
	}
}
