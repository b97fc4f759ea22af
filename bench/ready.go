package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/bench/work"
)

// readyImage is an image that the sandbox's nodes find in its registry.
const readyImage = "ghcr.io/acme/app:v1"

// pushEmpty pushes an image without content, for this machine's platform.
func pushEmpty(name string) error {
	ref, err := reference.ParseReference(name, reference.Insecure)
	if err != nil {
		return err
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH,
		RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return err
	}
	return remote.Write(ref, img)
}

// ready measures how long after a Deployment has become ready slipway prints so.
func (b *bench) ready(t *table, s *server) error {
	if err := pushEmpty(s.registry + strings.TrimPrefix(readyImage, "ghcr.io")); err != nil {
		return err
	}
	var late walls
	for i := range 5 {
		p := place{namespace: fmt.Sprintf("ready-%d", i)}
		p.dir = filepath.Join(b.temp, "deploy", p.namespace)
		if err := work.Ready(p.dir, admin, readyImage, 1); err != nil {
			return err
		}
		if err := s.namespace(http.MethodPost, p.namespace); err != nil {
			return err
		}
		d, err := b.delay(s, p)
		if err != nil {
			return err
		}
		late = append(late, d)
	}
	d := late.median()
	t.row("Deployment is ready", "until said", "", fmt.Sprintf("%d ms", d.Milliseconds()), "",
		fmt.Sprintf("< %d ms", readyTarget.Milliseconds()), d < readyTarget)
	return nil
}

// delay deploys, and watches the Deployment beside it.
func (b *bench) delay(s *server, p place) (time.Duration, error) {
	// A version first, so that the Deployment is there to watch; the pods of the second one take a moment.
	if _, err := b.at(s, p, b.slipway, "deploy", admin, "--yes"); err != nil {
		return 0, err
	}
	if err := work.Ready(p.dir, admin, readyImage, 2); err != nil {
		return 0, err
	}
	ready := make(chan time.Time, 1)
	failed := make(chan error, 1)
	go func() {
		at, err := s.whenReady(p.namespace, 2)
		if err != nil {
			failed <- err
			return
		}
		ready <- at
	}()
	cmd := exec.Command(b.slipway, "deploy", admin, "--yes")
	cmd.Dir = p.dir
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+filepath.Join(p.dir, "kubeconfig"), "HOME="+b.home)
	out, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var said time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if said.IsZero() && strings.Contains(lines.Text(), "2 of 2 ready") {
			said = time.Now()
		}
	}
	if err := cmd.Wait(); err != nil {
		return 0, err
	}
	select {
	case err := <-failed:
		return 0, err
	case at := <-ready:
		if said.IsZero() {
			return 0, fmt.Errorf("slipway deploy did not say that the Deployment is ready")
		}
		return said.Sub(at), nil
	}
}

// whenReady watches the Deployments of a namespace until one has n ready pods.
func (s *server) whenReady(namespace string, n int) (time.Time, error) {
	address := fmt.Sprintf("%s/apis/apps/v1/namespaces/%s/deployments?watch=true", s.address, namespace)
	resp, err := s.client.Get(address)
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	for events := json.NewDecoder(resp.Body); ; {
		var e struct {
			Object struct {
				Status struct{ ReadyReplicas, UpdatedReplicas int }
			}
		}
		if err := events.Decode(&e); err != nil {
			return time.Time{}, err
		}
		if st := e.Object.Status; st.ReadyReplicas == n && st.UpdatedReplicas == n {
			return time.Now(), nil
		}
	}
}
