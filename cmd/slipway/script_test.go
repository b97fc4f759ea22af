package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/cluster/sandbox"
	"slipway/internal/cluster/sandboxtest"
)

// The test binary is slipway too: scripts run it as a process of its own, and the embedded builder
// starts it once more.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){
		"slipway": watched, "kubectl-slipway": watched, "behind": behind,
	})
}

// shared is the sandbox of all scripts; the first one starts it. cache is the directory of its embedded
// builder.
var (
	shared      *sandboxtest.Sandbox
	startShared = sync.OnceValue(func() (err error) {
		shared, err = sandboxtest.Start(context.Background())
		return err
	})
	cache string
)

type suite struct{ m *testing.M }

// Run stops the sandbox after the tests.
func (s suite) Run() int {
	defer func() {
		if shared != nil {
			shared.Stop()
		}
	}()
	dir, err := os.MkdirTemp("", "slipway-scripts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cache = filepath.Join(dir, "cache")
	os.Setenv(heardFile, filepath.Join(dir, "heard"))
	return s.m.Run()
}

func TestScripts(t *testing.T) {
	t.Cleanup(func() { checkHeard(t) })
	testscript.Run(t, scripts("testdata/script"))
}

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"project": cmdProject, "commit": cmdCommit, "edit": cmdEdit,
			"cluster": cmdCluster, "registry": cmdRegistry, "code": cmdCode, "until": cmdUntil,
			"needs": cmdNeeds, "failure": cmdFailure, "pipeline": cmdPipeline, "signature": cmdSignature,
			"proxy": cmdProxy, "load": cmdLoad, "hook": cmdHook, "webhook": cmdWebhook,
			"forge": cmdForge, "page": cmdPage, "answer": cmdAnswer, "visit": cmdVisit,
			"provider": cmdProvider,
		},
	}
}

// setup gives a script its own namespaces dev, staging and prod, and an environment in which git
// commits and nothing of the machine's own configuration is read.
func setup(env *testscript.Env) error {
	if err := startShared(); err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	prefix := sandboxtest.Name("t")
	kubeconfig := filepath.Join(env.WorkDir, "kubeconfig")
	if err := shared.Project(context.Background(), prefix, kubeconfig, "dev", "staging", "prod"); err != nil {
		return err
	}
	// After testscript's own folder: scripts run the slipway under test, not one that was built
	// before. Before the machine's: its kubectl may be another one.
	own, machine, _ := strings.Cut(env.Getenv("PATH"), string(filepath.ListSeparator))
	env.Setenv("PATH", strings.Join([]string{own, filepath.Join(sourceDir, "..", "..", "bin"), machine},
		string(filepath.ListSeparator)))
	env.Setenv("KUBECONFIG", kubeconfig)
	env.Setenv("PREFIX", prefix)
	env.Setenv("EXAMPLES", filepath.Join(sourceDir, "..", "..", "examples"))
	env.Setenv("CRDS", filepath.Join(sourceDir, "testdata", "crds"))
	env.Setenv("REGISTRY", shared.Registry)
	env.Setenv("GITSERVER", strings.TrimPrefix(shared.GitServer, "http://"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CACHE_HOME", cache)
	env.Setenv("GOCACHE", goCache())
	env.Setenv(heardFile, os.Getenv(heardFile))
	env.Setenv(heardScript, strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"))
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env.Setenv("GIT_"+who+"_NAME", "Ada")
		env.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
		env.Setenv("GIT_"+who+"_DATE", "2026-01-02T03:04:05Z")
	}
	env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	env.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	env.Setenv("GIT_TERMINAL_PROMPT", "0")
	env.Defer(func() { stopSandboxes(filepath.Join(env.WorkDir, "data")) })
	return nil
}

// goCache is what go itself keeps, for scripts that build a program: else the standard library is
// compiled again.
func goCache() string {
	if dir := os.Getenv("GOCACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "go-build")
}

// stopSandboxes ends what a script that failed half-way has left running, by the $XDG_DATA_HOME of the
// script.
func stopSandboxes(data string) {
	states, _ := filepath.Glob(filepath.Join(data, "slipway", "sandbox", "*", "sandbox.json"))
	for _, path := range states {
		s := sandbox.Instance{Data: filepath.Dir(path)}
		_, _ = s.Stop(context.Background())
	}
}

// cmdProject copies testdata/web to a folder of that name, gives its image a name of this
// script's own, and commits it: project NAME.
func cmdProject(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: project NAME")
	}
	name := args[0]
	ts.Check(os.CopyFS(ts.MkAbs(name), os.DirFS(filepath.Join(sourceDir, "testdata", "web"))))
	ts.Check(filepath.WalkDir(ts.MkAbs(name), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), "PREFIX", ts.Getenv("PREFIX"))
		return os.WriteFile(path, []byte(text), 0o644)
	}))
	ts.Check(ts.Chdir(name))
	ts.Check(ts.Exec("git", "init", "-q", "-b", "main"))
	cmdCommit(ts, false, []string{"first"})
}

// cmdCommit commits everything below the current folder: commit MESSAGE [digits]. $HEAD is then its hash, and
// $SHORT the seven digits that tags are made of; with `digits` none of them is a letter.
func cmdCommit(ts *testscript.TestScript, neg bool, args []string) {
	isDigits := len(args) == 2 && args[1] == "digits"
	if neg || len(args) != 1 && !isDigits {
		ts.Fatalf("usage: commit MESSAGE [digits]")
	}
	ts.Check(ts.Exec("git", "add", "-A"))
	ts.Check(ts.Exec("git", "commit", "-q", "-m", args[0]))
	ts.Check(ts.Exec("git", "rev-parse", "HEAD"))
	head := strings.TrimSpace(ts.ReadFile("stdout"))
	for i := 1; isDigits && strings.ContainsAny(head[:7], "abcdef"); i++ {
		ts.Check(ts.Exec("git", "commit", "-q", "--amend", "-m", fmt.Sprintf("%s, try %d", args[0], i)))
		ts.Check(ts.Exec("git", "rev-parse", "HEAD"))
		head = strings.TrimSpace(ts.ReadFile("stdout"))
	}
	ts.Setenv("HEAD", head)
	ts.Setenv("SHORT", head[:7])
}

// cmdEdit replaces a text that must be there: edit FILE OLD NEW. "\n" is a line break.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	before, after := strings.ReplaceAll(args[1], `\n`, "\n"), strings.ReplaceAll(args[2], `\n`, "\n")
	if !strings.Contains(string(b), before) {
		ts.Fatalf("%s does not contain %q", args[0], before)
	}
	text := strings.ReplaceAll(string(b), before, after)
	ts.Check(os.WriteFile(path, []byte(text), 0o644))
}

// cmdCode runs a command and expects an exit code: code N COMMAND...
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	if args[1] == "slipway" {
		refuseOwnHint(ts, args[2:])
	}
	got := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if !asExit(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("%s exited with %d, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// refuseOwnHint fails where a hint says to run the command that printed it.
func refuseOwnHint(ts *testscript.TestScript, args []string) {
	_, hint, _ := strings.Cut(ts.ReadFile("stderr"), "slipway: hint: ")
	line := strings.Join(args, " ")
	texts := strings.Split(hint, "`")
	for i, quoted := range texts {
		command, ok := strings.CutPrefix(quoted, "slipway ")
		if i%2 == 0 || !ok || !strings.HasSuffix(texts[i-1], "un ") {
			continue
		}
		if len(args) > 1 {
			command = strings.ReplaceAll(command, "ENV", args[1])
		}
		if command == line {
			ts.Fatalf("slipway %s: its hint says to run the same command: %s", line, hint)
		}
	}
}

// cmdNeeds fails with a word on how to get a program that bin has not: needs PROGRAM.
func cmdNeeds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: needs PROGRAM")
	}
	if _, err := os.Stat(filepath.Join(sourceDir, "..", "..", "bin", args[0])); err != nil {
		ts.Fatalf("bin/%s is missing: run `make test` once, it builds what the tests need", args[0])
	}
}

// sourceDir is this package's folder: scripts run elsewhere.
var sourceDir = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()
