package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// The agent's image has all that its Git work needs, and no shell: an agent in a chroot of the image reads a
// branch, deploys it, and pushes the revert of a commit that fails. `make image` runs this.
func TestImage(t *testing.T) {
	dir := os.Getenv("SLIPWAY_TEST_IMAGE")
	if dir == "" {
		t.Skip("SLIPWAY_TEST_IMAGE names no image: run `make image`")
	}
	if os.Getuid() != 0 {
		t.Skip("a chroot needs root: the image was made, and not run")
	}
	t.Parallel()
	v := newVictim(t, false)
	url := shared.GitServer + "/" + v.prefix + "/image.git"
	v.round(t)
	v.run(t, "git", "push", "-q", url, "main")

	root := unpackImage(t, dir)
	if _, err := os.Stat(filepath.Join(root, "bin/sh")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the image has a shell (%v)", err)
	}
	kubeconfig, err := os.ReadFile(filepath.Join(filepath.Dir(v.dir), "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "etc/kubeconfig"), string(kubeconfig))
	writeFile(t, filepath.Join(root, "etc/agent.yaml"), fmt.Sprintf(
		"repositories: [{url: %q, interval: 300ms, environments: {prod: {context: prod, writeBack: push}}}]\n", url))
	r := &replica{config: "the image", log: filepath.Join(t.TempDir(), "log")}
	cmd := exec.Command("/slipway", "agent", "run", "--verbose", "--config", "/etc/agent.yaml")
	cmd.Env = []string{"PATH=/usr/bin", "HOME=/tmp", "GIT_EXEC_PATH=/usr/lib/git-core", "KUBECONFIG=/etc/kubeconfig"}
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	r.run(t, cmd)
	r.await(t, "is release 1, healthy")
	v.edit(t, "k8s/web.yaml", "spec:\n  selector: {matchLabels", "spec:\n  progressDeadlineSeconds: 3\n"+
		"  selector: {matchLabels")
	v.edit(t, "k8s/web.yaml", "metadata: {labels: {app: web}}",
		"metadata: {labels: {app: web}, annotations: {sandbox.slipway.dev/behavior: never-ready}}")
	v.round(t)
	v.run(t, "git", "push", "-q", url, "main")
	r.await(t, "reverted on main")
	v.run(t, "git", "fetch", "-q", url, "main")
	v.run(t, "git", "merge-base", "--is-ancestor", "HEAD", "FETCH_HEAD")
}

// unpackImage unpacks the image of this platform, and adds what a container runtime adds: /proc and devices.
func unpackImage(t *testing.T, dir string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := unpackLayers(imageOf(t, index), root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, minor := range map[string]int{"null": 3, "urandom": 9} {
		err := syscall.Mknod(filepath.Join(root, "dev", name), syscall.S_IFCHR|0o666, 1<<8|minor)
		if err != nil {
			t.Skipf("no device can be made here, so the image was not run: %v", err)
		}
	}
	if err := syscall.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		t.Skipf("nothing can be mounted here, so the image was not run: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(filepath.Join(root, "proc"), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return root
}

// imageOf returns the image for this machine, in an index or in an index of indexes.
func imageOf(t *testing.T, index v1.ImageIndex) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.MediaType.IsIndex() {
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return imageOf(t, inner)
		}
		if m.Platform != nil && m.Platform.Architecture == runtime.GOARCH {
			image, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("the image has no platform linux/%s", runtime.GOARCH)
	return nil
}

func unpackLayers(image v1.Image, root string) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return err
		}
		defer content.Close()
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			at := filepath.Join(root, h.Name)
			switch h.Typeflag {
			case tar.TypeDir:
				err = os.MkdirAll(at, 0o755)
			case tar.TypeSymlink:
				err = os.Symlink(h.Linkname, at)
			default:
				var f *os.File
				if f, err = os.OpenFile(at, os.O_CREATE|os.O_WRONLY, os.FileMode(h.Mode)); err == nil {
					_, err = io.Copy(f, r)
					err = errors.Join(err, f.Close())
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
