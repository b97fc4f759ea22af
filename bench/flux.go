package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"slipway/bench/work"
)

// The controllers of Flux, as `make flux` builds them, and their definitions beside them.
const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"
	fluxNamespace       = "flux-system"
	gitRepositories     = "/apis/source.toolkit.fluxcd.io/v1/namespaces/" + fluxNamespace + "/gitrepositories"
	kustomizations      = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/" + fluxNamespace + "/kustomizations"
)

// flux are running controllers.
type flux struct {
	controllers []*exec.Cmd
	server      *server
	logs        string // their directory
}

// hasFlux says whether the controllers were built. It notes what is left out where they were not.
func (b *bench) hasFlux(t *table) bool {
	_, err := os.Stat(filepath.Join(b.fluxes, kustomizeController))
	if err != nil {
		t.note("Flux's controllers are left out: run `make flux`, which takes up to half an hour the first time")
	}
	return err == nil
}

// flux starts the controllers with their defaults, but for the number of reconciles at a time where that is
// not 0. They run beside the API server, as the agent does.
func (b *bench) flux(s *server, concurrent int) (*flux, error) {
	if err := s.defineFlux(b.fluxes); err != nil {
		return nil, err
	}
	f := &flux{server: s}
	var err error
	if f.logs, err = os.MkdirTemp(b.temp, "flux-"); err != nil {
		return nil, err
	}
	storage, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config, err := s.adminConfig(f.logs)
	if err != nil {
		return nil, err
	}
	all := []string{"--metrics-addr=0", "--health-addr=0", "--watch-all-namespaces=true"}
	if concurrent > 0 {
		all = append(all, fmt.Sprintf("--concurrent=%d", concurrent))
	}
	for name, args := range map[string][]string{
		sourceController: {
			"--storage-path=" + f.logs, "--storage-addr=" + storage, "--storage-adv-addr=" + storage,
		},
		kustomizeController: nil,
	} {
		out, err := os.Create(filepath.Join(f.logs, name+".log"))
		if err != nil {
			return nil, errors.Join(err, f.stop())
		}
		c := exec.Command(filepath.Join(b.fluxes, name), append(args, all...)...)
		c.Stdout, c.Stderr = out, out
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		c.Env = append(os.Environ(), "KUBECONFIG="+config, "HOME="+b.home, "RUNTIME_NAMESPACE="+fluxNamespace,
			"TMPDIR="+f.logs)
		if err := errors.Join(c.Start(), out.Close()); err != nil {
			return nil, errors.Join(err, f.stop())
		}
		f.controllers = append(f.controllers, c)
	}
	return f, nil
}

var currentContext = regexp.MustCompile(`(?m)^current-context: .*$`)

// adminConfig writes a kubeconfig of the administrator: the controllers cannot be told which context to use.
func (s *server) adminConfig(dir string) (string, error) {
	text, err := os.ReadFile(s.config)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "kubeconfig")
	return file, os.WriteFile(file, currentContext.ReplaceAll(text, []byte("current-context: "+admin)), 0o600)
}

// freeAddress is one that nothing listens on at the moment: the controller must be told which it has.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// defineFlux applies the definitions, and waits until the server answers for them.
func (s *server) defineFlux(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	all := []apply{namespaceOf(fluxNamespace)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		docs, err := documents(text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, d := range docs {
			o, _ := d.(map[string]any)
			metadata, _ := o["metadata"].(map[string]any)
			body, err := json.Marshal(o)
			if err != nil {
				return err
			}
			const at = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
			all = append(all, apply{at + fmt.Sprint(metadata["name"]), body})
		}
	}
	if err := s.loop(all); err != nil {
		return err
	}
	for _, path := range []string{gitRepositories, kustomizations} {
		err := until(time.Minute, func() (bool, error) {
			_, err := s.request(http.MethodGet, path, "", nil)
			var early *statusError
			if errors.As(err, &early) && slices.Contains(
				[]int{http.StatusNotFound, http.StatusTooManyRequests}, early.code) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func namespaceOf(name string) apply {
	return apply{"/api/v1/namespaces/" + name,
		fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, name)}
}

// source is a GitRepository that is asked for only when it is told to.
func source(name, url string) apply {
	return apply{gitRepositories + "/" + name, fmt.Appendf(nil, `{"apiVersion": "source.toolkit.fluxcd.io/v1",
		"kind": "GitRepository", "metadata": {"name": %q}, "spec": {"interval": "1h", "url": %q,
		"ref": {"branch": "main"}}}`, name, url)}
}

// kustomization deploys a directory of a source into a namespace, and waits until its objects are healthy.
func kustomization(name, of, path, namespace string) apply {
	return apply{kustomizations + "/" + name, fmt.Appendf(nil, `{"apiVersion": "kustomize.toolkit.fluxcd.io/v1",
		"kind": "Kustomization", "metadata": {"name": %q}, "spec": {"interval": "1h", "prune": true, "wait": true,
		"timeout": "10m", "sourceRef": {"kind": "GitRepository", "name": %q}, "path": %q, "targetNamespace": %q}}`,
		name, of, path, namespace)}
}

// synced waits until so many Kustomizations of a source are ready at a commit. It asks five times a second.
func (f *flux) synced(of, commit string, n int, most time.Duration) error {
	last := ""
	err := until(most, func() (bool, error) {
		time.Sleep(180 * time.Millisecond) // polls: a list of a thousand costs the server what is measured
		text, err := f.server.request(http.MethodGet, kustomizations, "", nil)
		if err != nil {
			return false, err
		}
		var list struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ SourceRef struct{ Name string } }
				Status   struct {
					LastAppliedRevision string
					Conditions          []struct{ Type, Status, Message string }
				}
			}
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return false, err
		}
		ready := 0
		for _, k := range list.Items {
			for _, c := range k.Status.Conditions {
				switch {
				case k.Spec.SourceRef.Name != of || c.Type != "Ready":
				case c.Status == "True" && strings.Contains(k.Status.LastAppliedRevision, commit):
					ready++
				default:
					last = k.Metadata.Name + ": " + c.Message
				}
			}
		}
		return ready == n, nil
	})
	if err != nil {
		err = fmt.Errorf("Flux: %w: %s (logs of the controllers: %s)", err, last, f.logs)
	}
	return err
}

// forgetFlux deletes what the controllers follow, and not what they have deployed: the next ones start with
// nothing. The finalizers, which would delete that too, go first.
func (s *server) forgetFlux() error {
	var errs []error
	for _, path := range []string{kustomizations, gitRepositories} {
		text, err := s.request(http.MethodGet, path, "", nil)
		if err != nil {
			return err
		}
		var list struct {
			Items []struct{ Metadata struct{ Name string } }
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		for _, one := range list.Items {
			at := path + "/" + one.Metadata.Name
			_, err := s.request(http.MethodPatch, at, "application/merge-patch+json",
				[]byte(`{"metadata": {"finalizers": null}}`))
			if err == nil {
				_, err = s.request(http.MethodDelete, at, "", nil)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// used is what the controllers have used of the CPU, and the memory that they hold.
func (f *flux) used() (cpu time.Duration, memory int64, err error) {
	for _, c := range f.controllers {
		n, e := ticks(c.Process.Pid)
		held, e2 := resident(c.Process.Pid)
		cpu, memory, err = cpu+time.Duration(n)*10*time.Millisecond, memory+held, errors.Join(err, e, e2)
	}
	return cpu, memory, err
}

func (f *flux) stop() error {
	var errs []error
	for _, c := range f.controllers {
		errs = append(errs, c.Process.Signal(syscall.SIGTERM))
		_ = c.Wait() // its exit code says that it was signalled
	}
	return errors.Join(errs...)
}

// fluxFleet deploys the environments of a fleet by one Kustomization each, into namespaces of their own.
func (b *bench) fluxFleet(s *server, f follow, concurrent int) (c fleetCost, err error) {
	prefix := fmt.Sprintf("flux-%d-", concurrent)
	name := prefix + "fleet"
	var namespaces []apply
	objects := []apply{source(name, f.url)}
	for _, env := range f.environments {
		namespaces = append(namespaces, namespaceOf(prefix+env))
		objects = append(objects, kustomization(prefix+env, name, "./k8s/"+env, prefix+env))
	}
	commit, err := f.head()
	if err != nil {
		return c, err
	}
	if err := s.loop(namespaces); err != nil {
		return c, err
	}
	server, err := s.cpu()
	if err != nil {
		return c, err
	}
	controllers, err := b.flux(s, concurrent)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, controllers.stop(), s.forgetFlux()) }()
	began := time.Now()
	if err := s.loop(objects); err != nil {
		return c, err
	}
	if err := controllers.synced(name, commit, len(f.environments), time.Hour); err != nil {
		return c, err
	}
	c.wall = time.Since(began)
	after, err := s.cpu()
	if err != nil {
		return c, err
	}
	c.server = after - server
	c.program, c.memory, err = controllers.used()
	return c, err
}

// fluxReaction is how long it takes from the annotation that asks Flux for a look until an object of 20 has
// changed; the median of some commits.
func (b *bench) fluxReaction(s *server) (d time.Duration, err error) {
	const name, commits = "flux-reaction", 9
	dir := filepath.Join(b.temp, "agent", name)
	if _, err := work.Objects(dir, admin, 20); err != nil {
		return 0, err
	}
	f, err := s.publish(dir, name)
	if err != nil {
		return 0, err
	}
	controllers, err := b.flux(s, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, controllers.stop(), s.forgetFlux()) }()
	err = s.loop([]apply{namespaceOf(name)})
	if err == nil {
		err = s.loop([]apply{source(name, f.url), kustomization(name, name, "./k8s", name)})
	}
	var all walls
	for i := -1; err == nil && i < commits; i++ {
		level := fmt.Sprint("level-", i)
		if i >= 0 {
			var took time.Duration
			if took, err = s.fluxReacts(f, name, level); err != nil {
				break
			}
			all = append(all, took)
		}
		var commit string
		if commit, err = f.head(); err == nil {
			err = controllers.synced(name, commit, 1, 5*time.Minute)
		}
	}
	if err != nil {
		return 0, err
	}
	return all.median(), nil
}

// fluxReacts commits another level, and asks Flux for a look as `flux reconcile source` does.
func (s *server) fluxReacts(f follow, name, level string) (time.Duration, error) {
	file := filepath.Join(f.dir, "k8s", "all.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	text = levels.ReplaceAll(text, []byte("LEVEL: "+level))
	if err := errors.Join(os.WriteFile(file, text, 0o644), f.commit(level)); err != nil {
		return 0, err
	}
	began := time.Now()
	body := fmt.Sprintf(`{"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": %q}}}`, level)
	_, err = s.request(http.MethodPatch, gitRepositories+"/"+name, "application/merge-patch+json", []byte(body))
	if err != nil {
		return 0, err
	}
	at, err := s.whenLevel(name, "app-00004-3", level, nil)
	return at.Sub(began), err
}

// head is the newest commit of the working copy.
func (f follow) head() (string, error) {
	out, err := exec.Command("git", "-C", f.dir, "rev-parse", "HEAD").Output()
	return string(bytes.TrimSpace(out)), err
}
