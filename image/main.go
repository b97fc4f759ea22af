// Command image makes the image of the agent: the static binary, git with the helpers that it needs to fetch
// and push over HTTPS, the libraries of these, and the certificates of public authorities. It runs no
// program of the image, and the same input gives the same digest.
//
//	go run ./image -out DIRECTORY [-push REFERENCE] ARCH=BINARY=PACKAGES…
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const gitCore = "usr/lib/git-core"

// programs are those that the agent's Git work runs. All other commands of git are in git itself.
var programs = []string{gitCore + "/git", gitCore + "/git-remote-http"}

// files are what the image has besides programs and packages.
var files = map[string]string{
	"etc/passwd":        "slipway:x:65532:65532::/tmp:/slipway\n",
	"etc/group":         "slipway:x:65532:\n",
	"etc/nsswitch.conf": "hosts: files dns\n",
}

// links are symbolic links, with their targets.
var links = map[string]string{
	"usr/bin/git": "../lib/git-core/git", gitCore + "/git-remote-https": "git-remote-http",
}

func main() {
	out := flag.String("out", "", "directory of the OCI layout")
	push := flag.String("push", "", "REGISTRY/REPOSITORY:TAG to push to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *push, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, push string, platforms []string) error {
	if out == "" || len(platforms) == 0 {
		return errors.New("usage: image -out DIRECTORY [-push REFERENCE] ARCH=BINARY=PACKAGES…")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		parts := strings.Split(p, "=")
		if len(parts) != 3 {
			return fmt.Errorf("%s: want ARCH=BINARY=PACKAGES", p)
		}
		image, err := build(parts[0], parts[1], parts[2])
		if err != nil {
			return fmt.Errorf("%s: %w", parts[0], err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: parts[0]},
		}})
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if _, err := layout.Write(out, index); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil || push == "" {
		fmt.Println(digest)
		return err
	}
	ref, err := name.ParseReference(push)
	if err != nil {
		return err
	}
	err = remote.WriteIndex(ref, index, remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err == nil {
		fmt.Printf("%s@%s\n", ref.Context(), digest)
	}
	return err
}

// build makes the image of one platform: one layer, without a time.
func build(arch, binary, packages string) (v1.Image, error) {
	contents, err := collect(binary, packages)
	if err != nil {
		return nil, err
	}
	archive, err := pack(contents)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(layer)},
		Config: v1.Config{
			Entrypoint: []string{"/slipway"}, User: "65532:65532", WorkingDir: "/tmp",
			Env: []string{"PATH=/usr/bin", "HOME=/tmp", "GIT_EXEC_PATH=/" + gitCore},
			Labels: map[string]string{
				"org.opencontainers.image.title":       "slipway-agent",
				"org.opencontainers.image.description": "Keeps clusters equal to Git",
			},
		},
	})
}

func diffIDs(layer v1.Layer) []v1.Hash {
	id, err := layer.DiffID()
	if err != nil {
		return nil
	}
	return []v1.Hash{id}
}

// collect returns the files of the image by their paths.
func collect(binary, packages string) (map[string][]byte, error) {
	contents := map[string][]byte{}
	for at, text := range files {
		contents[at] = []byte(text)
	}
	var err error
	if contents["slipway"], err = os.ReadFile(binary); err != nil {
		return nil, err
	}
	if f, err := elf.NewFile(bytes.NewReader(contents["slipway"])); err != nil {
		return nil, fmt.Errorf("%s: %w", binary, err)
	} else if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
		return nil, fmt.Errorf("%s is not static: it needs %s", binary, strings.Join(libraries, ", "))
	}
	for _, program := range programs {
		source := program
		if program == gitCore+"/git" {
			source = "usr/bin/git"
		}
		if contents[program], err = os.ReadFile(filepath.Join(packages, source)); err != nil {
			return nil, err
		}
		if err := addLibraries(contents, packages, contents[program]); err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
	}
	if contents["etc/debian-packages"], err = os.ReadFile(filepath.Join(packages, "packages")); err != nil {
		return nil, err
	}
	contents["etc/ssl/certs/ca-certificates.crt"], err = certificates(packages)
	return contents, err
}

// addLibraries adds the loader and the libraries of a program, and those that these need.
func addLibraries(contents map[string][]byte, packages string, program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			loader, err := io.ReadAll(p.Open())
			if err != nil {
				return err
			}
			needed = append(needed, strings.Trim(string(loader), "\x00"))
		}
	}
	for _, library := range needed {
		at, text, err := find(packages, library)
		if err != nil {
			return err
		}
		if contents[at] != nil {
			continue
		}
		contents[at] = text
		if err := addLibraries(contents, packages, text); err != nil {
			return fmt.Errorf("%s: %w", library, err)
		}
	}
	return nil
}

// find reads a library, by its name or, for the loader, its path.
func find(packages, library string) (at string, text []byte, err error) {
	patterns := []string{"lib/*-linux-gnu/" + library, "usr/lib/*-linux-gnu/" + library}
	if path.IsAbs(library) {
		// The loader's path may be a link to another directory of the package.
		patterns = []string{library[1:], "lib/*-linux-gnu/" + path.Base(library)}
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(packages, pattern))
		if err != nil {
			return "", nil, err
		}
		for _, match := range matches {
			text, err := os.ReadFile(match)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a link that is absolute
			}
			at, _ := filepath.Rel(packages, match)
			if path.IsAbs(library) {
				at = library[1:]
			}
			return at, text, err
		}
	}
	return "", nil, fmt.Errorf("%s is in none of the packages: add its package to image/packages", library)
}

// certificates joins the certificates of ca-certificates as its update-ca-certificates does.
func certificates(packages string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(packages, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, errors.New("the packages have no certificates"))
	}
	var all []byte
	for _, file := range names {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
	}
	return all, nil
}

// pack writes the files in the order of their paths, with root as owner and without times.
func pack(contents map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var names []string
	for at := range contents {
		names = append(names, at)
	}
	for at := range links {
		names = append(names, at)
	}
	slices.Sort(names)
	made := map[string]bool{}
	header := func(h tar.Header, text []byte) error {
		h.Size, h.Format = int64(len(text)), tar.FormatUSTAR
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(text)
		return err
	}
	err := header(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	for _, at := range names {
		for i := range at {
			if dir := at[:i]; at[i] == '/' && !made[dir] {
				made[dir] = true
				err = errors.Join(err, header(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil))
			}
		}
		if target, ok := links[at]; ok {
			err = errors.Join(err, header(tar.Header{Name: at, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777},
				nil))
			continue
		}
		mode := int64(0o755)
		if strings.HasPrefix(at, "etc/") {
			mode = 0o644
		}
		err = errors.Join(err, header(tar.Header{Name: at, Typeflag: tar.TypeReg, Mode: mode}, contents[at]))
	}
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}
