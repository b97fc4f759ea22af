package builder

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"slipway/internal/image/imagetest"
)

// The user's own BuildKit: an engine behind a unix socket, so that all but the embedding is real.
func TestBuildWithNamedBuildKit(t *testing.T) {
	addr := exposeEngine(t)
	t.Setenv("BUILDKIT_HOST", addr)
	b, err := Find(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if want := "BuildKit at " + addr + " ($BUILDKIT_HOST)"; b.Describe() != want {
		t.Errorf("%q, want %q", b.Describe(), want)
	}
	repository := imagetest.Start(t) + "/myapp"
	res, err := b.Build(t.Context(), Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: repository,
	})
	if err != nil {
		t.Fatal(err)
	}
	pull(t, repository, res.Digest)
}

// What buildx builds in: found where Docker itself does not answer, and by name before Docker.
func TestBuildWithBuildxContainer(t *testing.T) {
	for name, builder := range map[string]string{"current": "", "named": "mine"} {
		t.Run(name, func(t *testing.T) {
			socket := strings.TrimPrefix(exposeEngine(t), "unix://")
			dir := write(t, t.TempDir(), map[string]string{
				"current":        `{"Key":"unix:///none.sock","Name":"mine","Global":false}`,
				"instances/mine": `{"Name":"mine","Driver":"docker-container","Nodes":[{"Name":"mine0","Endpoint":"colima"}]}`,
				"bin/docker": "#!/bin/sh\n[ \"$*\" = '--context=colima exec -i buildx_buildkit_mine0 buildctl " +
					"dial-stdio' ] || { echo \"$*\" >&2; exit 1; }\n" +
					"exec /proc/$PPID/exe " + bridgeArg + " " + socket + "\n",
			})
			if err := os.Chmod(filepath.Join(dir, "bin/docker"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
			t.Setenv("BUILDX_CONFIG", dir)
			t.Setenv("BUILDX_BUILDER", builder)
			t.Setenv("BUILDKIT_HOST", "")
			t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "none.sock"))
			b, err := Find(t.Context(), Options{State: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if !strings.HasPrefix(b.Describe(),
				"BuildKit at docker-container://buildx_buildkit_mine0?context=colima") {
				t.Error(b.Describe())
			}
		})
	}
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk: what a full one does to a build was not tried")
	}
	open(t, Options{}) // skips where the engine cannot run
	state := t.TempDir()
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=20m"); err != nil {
		t.Skip("no small disk here: what a full one does to a build was not tried: ", err)
	}
	defer func() {
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	dir := write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY large /\n", "large": ""})
	if err := os.Truncate(filepath.Join(dir, "large"), 50<<20); err != nil {
		t.Fatal(err)
	}
	b, err := Find(t.Context(), Options{Address: Embedded, State: state})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = b.Build(t.Context(), Request{Context: dir, Repository: imagetest.Start(t) + "/myapp"})
	if e := (*FullError)(nil); !errors.As(err, &e) || e.Folder != state {
		t.Errorf("%T: %v", err, err)
	}
}

// bridgeArg makes the test binary what buildctl dial-stdio is.
const bridgeArg = "bridge"

func bridge(socket string) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		os.Exit(1)
	}
	go func() { _, _ = io.Copy(c, os.Stdin) }()
	_, _ = io.Copy(os.Stdout, c)
	os.Exit(0)
}

func TestSecondBuildWaits(t *testing.T) {
	state := t.TempDir()
	open(t, Options{State: state})
	ctx, cancel := context.WithCancel(t.Context())
	var said []string
	_, err := Find(ctx, Options{Address: Embedded, State: state, Notify: func(s string) {
		said = append(said, s)
		cancel()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"waiting for another build that uses " + state}, said); diff != "" {
		t.Error(diff)
	}
}

func TestEngineEndsWithItsParent(t *testing.T) {
	state := t.TempDir()
	open(t, Options{}) // skips where the engine cannot run
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", holdArg, state)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 2*stopTime)
	defer cancel()
	lock, err := lockState(ctx, state, Options{}) // returns when the lock is free
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), state) {
		t.Error("mounts were left on the machine")
	}
}

// exposeEngine gives the address of a BuildKit that serves one client.
func exposeEngine(t *testing.T) string {
	t.Helper()
	open(t, Options{}) // skips where the engine cannot run
	e, err := startEngine(t.Context(), Options{State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(e.conn, c) }()
		_, _ = io.Copy(c, e.conn)
	}()
	t.Cleanup(func() {
		l.Close()
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + path
}

// The RUN steps run this test binary: it is static and so needs no base image.
func TestRunSteps(t *testing.T) {
	if path, reason := findRuntime(t.Context()); path == "" {
		t.Skip("no RUN steps on this machine: ", reason)
	}
	if dynamic(t) {
		t.Skip("this test binary needs a dynamic linker, which an image from scratch has not: CGO_ENABLED=0")
	}
	host := imagetest.Start(t)
	dir := write(t, t.TempDir(), map[string]string{
		"Dockerfile": "FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"inside\", \"write\"]\n",
		"Failing":    "FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"inside\", \"fail\"]\n",
	})
	copySelf(t, dir)
	b := open(t, Options{})
	res, err := b.Build(t.Context(), Request{Context: dir, Repository: host + "/myapp", Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if files := fileNames(t, pull(t, host+"/myapp", res.Digest)); !slices.Contains(files, "made") {
		t.Errorf("files %v, want one that RUN made", files)
	}
	var shown strings.Builder
	_, err = b.Build(t.Context(), Request{Context: dir, Dockerfile: filepath.Join(dir, "Failing"),
		Repository: host + "/myapp", Progress: &shown})
	got := (*BuildError)(nil)
	if !errors.As(err, &got) || got.Line != 3 || !strings.HasSuffix(got.Step,
		"RUN [\"/tool\", \"inside\", \"fail\"]") || !slices.Contains(got.Log, "this went wrong") {
		t.Errorf("%+v", err)
	}
	if !strings.Contains(shown.String(), "this went wrong") {
		t.Error("the failing step's log was not shown:\n", shown.String())
	}
}

// An agent that a RUN step asks, and a scanner of our own making, whose SBOM goes with the image.
func TestAgentAndScanner(t *testing.T) {
	if path, reason := findRuntime(t.Context()); path == "" {
		t.Skip("no agent was asked, no image scanned: ", reason)
	}
	host, socket := imagetest.Start(t), filepath.Join(t.TempDir(), "agent")
	agent, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	go func() {
		for c, err := agent.Accept(); err == nil; c, err = agent.Accept() {
			if _, err := io.ReadFull(c, make([]byte, 5)); err == nil {
				_, _ = c.Write([]byte{0, 0, 0, 5, 12, 0, 0, 0, 0}) // no keys
			}
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	dir := write(t, t.TempDir(), map[string]string{
		"Dockerfile": "FROM scratch\nCOPY tool /tool\nRUN --mount=type=ssh [\"/tool\", \"inside\", \"ask\"]\n",
		"Scanner":    "FROM scratch\nCOPY tool /tool\nENTRYPOINT [\"/tool\", \"inside\", \"scan\"]\n",
	})
	copySelf(t, dir)
	b := open(t, Options{})
	scanner, err := b.Build(t.Context(), Request{Context: dir, Dockerfile: filepath.Join(dir, "Scanner"),
		Repository: host + "/scanner"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.Build(t.Context(), Request{Context: dir, Repository: host + "/myapp", SSH: true,
		SBOM: host + "/scanner@" + scanner.Digest, Progress: t.Output(), Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	index, err := remote.Index(mustRepository(t, host+"/myapp").Digest(res.Digest),
		remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range manifest.Layers {
			types = append(types, l.Annotations["in-toto.io/predicate-type"])
		}
	}
	if !slices.Contains(types, "https://spdx.dev/Document") {
		t.Errorf("statements %q", types)
	}
}

// copySelf puts this test binary into a build context, as the tool that RUN steps run.
func copySelf(t *testing.T, dir string) {
	t.Helper()
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tool"), exe, 0o755); err != nil {
		t.Fatal(err)
	}
}

func dynamic(t *testing.T) bool {
	t.Helper()
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

func TestCancelledBuild(t *testing.T) {
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Build(ctx, Request{
		Context:    write(t, t.TempDir(), map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}),
		Repository: imagetest.Start(t) + "/myapp",
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// ordinary is a user that no machine knows.
const ordinary = 54321

// asOrdinary runs tests as that user, in a process that is prepared as the argument says.
func asOrdinary(t *testing.T, prepared, tests string, env ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; the other tests are run by an ordinary one already")
	}
	open(t, Options{}) // skips where the engine cannot run
	home := t.TempDir()
	for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chown(dir, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", prepared, "-test.run=^("+tests+")$", "-test.v")
	cmd.Dir = home
	cmd.Env = append([]string{"HOME=" + home, "TMPDIR=" + home, "USER=nobody-in-particular",
		"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if prepared == "without-namespaces" {
		cmd.SysProcAttr.Cloneflags, cmd.SysProcAttr.GidMappingsEnableSetgroups = unix.CLONE_NEWUSER, true
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{Size: ordinary + 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{Size: ordinary + 1}}
	}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("not tried as an ordinary user: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// become prepares this process, which is root, and then runs the tests as the ordinary user.
func become(prepared string, args []string) {
	var err error
	switch prepared {
	case "without-namespaces":
		err = os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	case "with-ids":
		err = errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			over("/etc/passwd", "nobody-in-particular:x:54321:54321::/:/bin/sh\n"),
			over("/etc/subuid", "nobody-in-particular:100000:65536\n"),
			over("/etc/subgid", "nobody-in-particular:100000:65536\n"))
	}
	if err == nil {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
		err = cmd.Run()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// over puts a text where a file is, for this process and its children.
func over(path, text string) error {
	f, err := os.CreateTemp("", "over")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o644), f.Close(), unix.Mount(f.Name(), path, "", unix.MS_BIND, ""))
}

// A user without root and without subordinate ids still builds what copies files, and gets the
// digest that everybody gets. RUN says what is missing.
func TestOrdinaryUserWithoutIDs(t *testing.T) {
	out := asOrdinary(t, "as-is", "TestBuildIsReproducible|TestRunNeedsIDs", "SLIPWAY_ONE_ID=yes")
	if want := "belong to root, and RUN steps cannot run: /etc/subuid has no line for "; !strings.Contains(out,
		want) {
		t.Errorf("not said: %q in %s", want, out)
	}
}

func TestRunNeedsIDs(t *testing.T) {
	if os.Getenv("SLIPWAY_ONE_ID") == "" {
		t.Skip("TestOrdinaryUserWithoutIDs runs it")
	}
	want := "runc needs subordinate ids for an ordinary user: /etc/subuid has no line for "
	if path, reason := findRuntime(t.Context()); path == "" {
		want = reason
	}
	_, err := open(t, Options{}).Build(t.Context(), Request{
		Context: write(t, t.TempDir(),
			map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\nRUN [\"/tool\"]\n"}),
		Repository: imagetest.Start(t) + "/myapp",
	})
	if e := (*NoRuntimeError)(nil); !errors.As(err, &e) || !strings.HasPrefix(e.Reason, want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// With subordinate ids, and the programs that give them, RUN steps run for everybody.
func TestOrdinaryUserRuns(t *testing.T) {
	if path, reason := findRuntime(t.Context()); path == "" {
		t.Skip("RUN steps of ordinary users were not tried: ", reason)
	}
	dir := t.TempDir()
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "..", "bin", "uidmap", tool))
		if err != nil {
			t.Skip("RUN steps of ordinary users were not tried; make runtime: ", err)
		}
		path := filepath.Join(dir, tool)
		if err := errors.Join(os.WriteFile(path, raw, 0o755), os.Chmod(path, 0o755|os.ModeSetuid)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	asOrdinary(t, "with-ids", "TestRunSteps")
}

// Where an ordinary user may have no user namespace, that is what is said.
func TestNoUserNamespaces(t *testing.T) {
	asOrdinary(t, "without-namespaces", "TestCannotRun", "SLIPWAY_CANNOT_RUN=yes")
}

func TestCannotRun(t *testing.T) {
	if os.Getenv("SLIPWAY_CANNOT_RUN") == "" {
		t.Skip("TestNoUserNamespaces runs it")
	}
	_, err := Find(t.Context(), Options{Address: Embedded, State: t.TempDir()})
	want := "no BuildKit found: the embedded engine cannot create a user namespace (fork/exec " +
		"/proc/self/exe: no space left on device): " +
		"allow unprivileged user namespaces, or start Docker or a buildkitd"
	if e := (*NoBuilderError)(nil); !errors.As(err, &e) || e.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
