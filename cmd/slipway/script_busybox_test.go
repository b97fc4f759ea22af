package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// busybox is an image of the program in bin, with a shell.
func busybox() (v1.Image, error) {
	program, err := os.ReadFile(filepath.Join(sourceDir, "..", "..", "bin", "busybox"))
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"bin/", "tmp/", "run/"} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}))
	}
	err = errors.Join(err, w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755,
		Size: int64(len(program))}))
	_, werr := w.Write(program)
	for _, tool := range []string{"sh", "cat", "wc", "ls", "sleep"} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + tool,
			Linkname: "busybox"}))
	}
	if err := errors.Join(err, werr, w.Close()); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Config.Env = "linux", runtime.GOARCH, []string{"PATH=/bin"}
	return mutate.ConfigFile(img, cfg)
}

// printFile prints a file of an image for this machine.
func printFile(w io.Writer, ref name.Reference, path string) error {
	img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return err
	}
	files := mutate.Extract(img)
	defer files.Close()
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("%s in %s: %w", path, ref, err)
		}
		if "/"+strings.TrimPrefix(h.Name, "/") == path {
			_, err := io.Copy(w, r)
			return err
		}
	}
}

// printStatements prints the kind of each in-toto statement in an index, and of what it speaks.
func printStatements(w io.Writer, ref name.Reference) error {
	index, err := remote.Index(ref)
	if err != nil {
		return err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, m := range list.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			fmt.Fprintf(w, "image %s %s\n", m.Platform, m.Digest)
			continue
		}
		img, err := index.Image(m.Digest)
		if err != nil {
			return err
		}
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		for _, l := range layers {
			if err := printStatement(w, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func printStatement(w io.Writer, l v1.Layer) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	var s struct {
		PredicateType string
		Subject       []struct{ Digest map[string]string }
	}
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s of sha256:%s\n", s.PredicateType, s.Subject[0].Digest["sha256"])
	return err
}
