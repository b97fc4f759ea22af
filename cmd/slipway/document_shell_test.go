package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/agent"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/image/imagetest"
)

// home is the home directory that pages show.
const home = "/home/ada"

// typedTimeout is for one command of a page.
const typedTimeout = 3 * time.Minute

// endOfCommand separates the output of a command from what follows, together with its exit code.
const endOfCommand = "\x01end of command"

// shell is one bash in which the commands of a page are typed, so that cd, export and & work as for a reader.
type shell struct {
	home   string
	agent  string   // address in place of agent.LocalAddress, at which another agent may listen
	hidden []string // texts of the test run alone, which are removed from outputs
	input  *os.File
	output chan []byte
}

// newShell starts the shell in a home directory of its own, which has the directory examples. A page that
// starts its own sandbox gets none; others have namespaces of their own in the sandbox of the test run, with
// the contexts dev, staging and prod.
func newShell(t *testing.T, page string, ownSandbox bool) *shell {
	t.Helper()
	dir := t.TempDir()
	s := &shell{home: dir, agent: freeAddress(t), output: make(chan []byte)}
	bin, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	examples := os.DirFS(filepath.Join("..", "..", "examples"))
	list := string(filepath.ListSeparator)
	own, machine, _ := strings.Cut(os.Getenv("PATH"), list)
	if dir := os.Getenv("SLIPWAY_TEST_PROGRAMS"); dir != "" { // those of a release, and its examples
		s.agent = agent.LocalAddress
		own, bin, examples = dir, dir, os.DirFS(filepath.Join(dir, "examples"))
	}
	if err := os.CopyFS(filepath.Join(dir, "examples"), examples); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + strings.Join([]string{own, bin, machine}, list), "HOME=" + dir, "LANG=C.UTF-8", "TERM=dumb",
		"XDG_CACHE_HOME=" + cache, "GOCACHE=" + goCache(),
		heardFile + "=" + os.Getenv(heardFile), heardScript + "=" + t.Name(),
		agentVariable + "=" + s.agent,
		"GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
	}
	if !ownSandbox {
		env = append(env, s.namespaces(t)...)
	}
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env = append(env, "GIT_"+who+"_NAME=Ada", "GIT_"+who+"_EMAIL=ada@example.com")
	}
	s.start(t, page, env)
	t.Cleanup(func() { stopSandboxes(filepath.Join(dir, ".local", "share")) })
	return s
}

// namespaces makes the page's namespaces, and returns the variables with which its commands find them.
func (s *shell) namespaces(t *testing.T) []string {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	prefix, kubeconfig := sandboxtest.Name("page"), filepath.Join(s.home, ".kube", "config")
	if err := os.MkdirAll(filepath.Dir(kubeconfig), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := shared.Project(t.Context(), prefix, kubeconfig, "dev", "staging", "prod"); err != nil {
		t.Fatal(err)
	}
	s.hidden = append(s.hidden, prefix+"-")
	// Images of other pages in the same registry are never the same ones.
	for _, file := range []string{"kustomize/index.html", "helm/index.html", "third-party/index.html"} {
		at := filepath.Join(s.home, "examples", file)
		if err := os.WriteFile(at, []byte("<h1>hello</h1><!-- "+prefix+" -->\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The image of a chart that pages deploy, from a registry that the tests cannot reach.
	imagetest.Push(shared.Registry+"/library/redis:7.4.1", imagetest.Image(64, runtime.GOARCH, nil))
	return []string{"KUBECONFIG=" + kubeconfig, "REGISTRY=" + shared.Registry, "GITSERVER=" + shared.GitServer,
		"PREFIX=" + prefix, "CRDS=" + filepath.Join(sourceDir, "testdata", "crds")}
}

// freeAddress is an address of this machine at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// own is a text of the page with the paths and addresses of this shell.
func (s *shell) own(text string) string {
	return strings.NewReplacer(home, s.home, agent.LocalAddress, s.agent).Replace(text)
}

func (s *shell) start(t *testing.T, page string, env []string) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.input = input
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.home, env, stdin, write, write
	if strings.HasPrefix(page, "examples/") {
		cmd.Dir = filepath.Join(s.home, filepath.Dir(page)) // its commands are typed beside it
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	write.Close()
	go func() {
		defer close(s.output)
		buffer := make([]byte, 64<<10)
		for {
			n, err := read.Read(buffer)
			if err != nil {
				return
			}
			s.output <- bytes.Clone(buffer[:n])
		}
	}()
	t.Cleanup(func() {
		input.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // programs in the background too
		_ = cmd.Wait()
		read.Close()
		for range s.output {
		}
	})
}

// run types a command and returns the lines that it printed, and its exit code.
func (s *shell) run(typed string) (lines []string, exit int, err error) {
	quoted := "'" + strings.ReplaceAll(s.own(typed), "'", `'\''`) + "'"
	if _, err := fmt.Fprintf(s.input, "eval %s </dev/null\nprintf '\\n%s %%d\\n' $?\n", quoted,
		endOfCommand); err != nil {
		return nil, 0, err
	}
	var text []byte
	late := time.After(typedTimeout)
	for {
		select {
		case more, open := <-s.output:
			text = append(text, more...)
			before, after, found := bytes.Cut(text, []byte("\n"+endOfCommand))
			if found && bytes.HasSuffix(after, []byte("\n")) {
				_, err := fmt.Sscan(string(after), &exit)
				return s.lines(string(before)), exit, err
			}
			if !open {
				return s.lines(string(text)), 0, fmt.Errorf("the shell ended")
			}
		case <-late:
			return s.lines(string(text)), 0, fmt.Errorf("did not end within %s", typedTimeout)
		}
	}
}

// runUntil types a command that goes on until it is interrupted, and interrupts it as soon as it has printed
// these lines.
func (s *shell) runUntil(typed string, enough func([]string) bool) (lines []string, err error) {
	lines, _, err = s.run(typed + " &")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); err == nil && !enough(lines); <-tick.C {
		if time.Now().After(end) {
			err = fmt.Errorf("%w:\n%s", errDifferent, strings.Join(lines, "\n"))
			break
		}
		var more []string
		more, _, err = s.run(":")
		lines = append(lines, more...)
	}
	_, _, killed := s.run("kill $! && wait $!")
	return lines, errors.Join(err, killed)
}

// lines are the lines of an output as a page shows them.
func (s *shell) lines(text string) []string {
	text = strings.NewReplacer(s.home, home, s.agent, agent.LocalAddress).Replace(text)
	for _, h := range s.hidden {
		text = strings.ReplaceAll(text, h, "")
	}
	text = strings.Trim(text, "\n")
	if text == "" {
		return nil
	}
	// Pages are typed at the same time, and share the engine that builds.
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.Contains(line, "waiting for another build")
	})
}
