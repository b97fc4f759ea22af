package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// largeContext is how much of a build context is too much to be meant.
const largeContext = 500 << 20

// Inputs is a digest of what decides an image's content: the Dockerfile, the files that it takes from
// the context, target, arguments, platforms, the names of secrets. Not in it: labels, the time, and what
// is fetched while building, such as the base image behind a tag.
func Inputs(ctx context.Context, r Request) (string, error) {
	text, err := os.ReadFile(r.dockerfile())
	if err != nil {
		return "", fmt.Errorf("read Dockerfile: %w", err)
	}
	sources, err := r.sources(taken(text))
	if err != nil {
		return "", fmt.Errorf("read build context %s: %w", r.Context, err)
	}
	var files []*types.Stat
	err = sources.Walk(ctx, "", func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*types.Stat)
		if !ok {
			return fmt.Errorf("%s: no file information", d.Name())
		}
		files = append(files, stat)
		return ctx.Err()
	})
	if err != nil {
		return "", fmt.Errorf("read build context %s: %w", r.Context, err)
	}
	r.warn(files)
	h := sha256.New()
	r.writeTo(h, text)
	for _, f := range files {
		if err := hashFile(ctx, h, sources, f); err != nil {
			return "", fmt.Errorf("read build context %s: %w", r.Context, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeTo writes all that is not a file of the context, each with its own length.
func (r Request) writeTo(h hash.Hash, dockerfile []byte) {
	platforms := r.Platforms
	if len(platforms) == 0 {
		// The builder's own. What another machine has built must not be taken for it.
		platforms = []string{"linux/" + runtime.GOARCH}
	}
	fmt.Fprintf(h, "slipway inputs 1\ndockerfile %q\ntarget %q\nplatforms %q\n", dockerfile, r.Target, platforms)
	for _, k := range slices.Sorted(maps.Keys(r.BuildArgs)) {
		fmt.Fprintf(h, "arg %q %q\n", k, r.BuildArgs[k])
	}
	for _, s := range r.Secrets {
		fmt.Fprintf(h, "secret %q\n", s.ID) // never the value
	}
	fmt.Fprintf(h, "ssh %v\nprovenance %q\nsbom %q\n", r.SSH, r.Provenance, r.SBOM)
}

// hashFile adds a file as BuildKit sees it: neither its times nor its owner.
func hashFile(ctx context.Context, h hash.Hash, sources fsutil.FS, f *types.Stat) error {
	mode := fs.FileMode(f.Mode)
	if !mode.IsRegular() {
		fmt.Fprintf(h, "file %q %v %q\n", f.Path, mode, f.Linkname)
		return ctx.Err()
	}
	r, err := sources.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	content := sha256.New()
	if _, err := io.Copy(content, r); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	fmt.Fprintf(h, "file %q %v %x\n", f.Path, mode, content.Sum(nil))
	return ctx.Err()
}

// warn speaks up when the context is far larger than anybody means it to be.
func (r Request) warn(files []*types.Stat) {
	var total int64
	sizes := map[string]int64{}
	for _, f := range files {
		if fs.FileMode(f.Mode).IsRegular() {
			total += f.Size
			top, _, _ := strings.Cut(filepath.ToSlash(f.Path), "/")
			sizes[top] += f.Size
		}
	}
	if total <= largeContext {
		return
	}
	largest := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return int(sizes[b] - sizes[a]) })
	var names []string
	for _, name := range largest[:min(len(largest), 5)] {
		if mb := sizes[name] >> 20; mb > 0 {
			names = append(names, fmt.Sprintf("%s (%d MB)", name, mb))
		}
	}
	r.notify(fmt.Sprintf("warning: the build takes %d MB from the context: %s; name in .dockerignore what it "+
		"does not need", total>>20, strings.Join(names, ", ")))
}

// sources are the files that BuildKit gets to see of the context when it asks for those paths; nil asks
// for all.
func (r Request) sources(paths []string) (fsutil.FS, error) {
	folder, err := fsutil.NewFS(r.Context)
	if err != nil {
		return nil, err
	}
	excludes, err := r.excludes()
	if err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(folder, &fsutil.FilterOpt{ExcludePatterns: excludes, FollowPaths: paths})
}

// excludes reads the Dockerfile's own .dockerignore, else that of the context.
func (r Request) excludes() ([]string, error) {
	for _, file := range []string{r.dockerfile() + ".dockerignore", filepath.Join(r.Context, ".dockerignore")} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return ignorefile.ReadAll(bytes.NewReader(text))
	}
	return nil, nil
}

// taken are the paths of the context that a Dockerfile copies or mounts in any of its stages; nil means
// all of it, also where that cannot be told. Build compares it with what BuildKit really asks for.
func taken(dockerfile []byte) []string {
	stages := stagesOf(dockerfile)
	if stages == nil {
		return nil
	}
	paths := []string{ignoreFile}
	for _, stage := range stages {
		for _, command := range stage.Commands {
			for _, p := range pathsOf(command) {
				p = path.Join("/", filepath.ToSlash(p))[1:]
				if p == "" || strings.Contains(p, "$") {
					return nil
				}
				paths = append(paths, p)
			}
		}
	}
	return paths
}

// stagesOf gives nil for what is no Dockerfile: BuildKit says why.
func stagesOf(dockerfile []byte) []instructions.Stage {
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil
	}
	return stages
}

// Moving are the base images of a Dockerfile that may be others by now: they are named without a digest.
func Moving(r Request) []string {
	text, err := os.ReadFile(r.dockerfile())
	if err != nil {
		return nil
	}
	var bases []string
	known := []string{"scratch"}
	for _, stage := range stagesOf(text) {
		base := stage.BaseName
		if !slices.Contains(known, strings.ToLower(base)) && !strings.Contains(base, "@") &&
			!slices.Contains(bases, base) {
			bases = append(bases, base)
		}
		known = append(known, strings.ToLower(stage.Name))
	}
	return bases
}

// ignoreFile is read of each context.
const ignoreFile = ".dockerignore"

func pathsOf(command instructions.Command) (paths []string) {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		if c.From == "" {
			return c.SourcePaths
		}
	case *instructions.AddCommand:
		for _, src := range c.SourcePaths {
			if !strings.HasPrefix(src, "http://") && !strings.HasPrefix(src, "https://") {
				paths = append(paths, src)
			}
		}
	case *instructions.RunCommand:
		if err := c.Expand(func(word string) (string, error) { return word, nil }); err != nil {
			return []string{"/"}
		}
		for _, m := range instructions.GetMounts(c) {
			switch m.Type {
			case instructions.MountTypeBind, instructions.MountTypeTmpfs: // that is what BuildKit asks for
				if m.From == "" {
					paths = append(paths, m.Source)
				}
			}
		}
	}
	return paths
}

// foresaw tells whether those paths of the context are among those that Inputs has looked at. It has not
// where a base image has ONBUILD instructions, or another front end reads the Dockerfile.
func foresaw(taken, asked []string) bool {
	if taken == nil {
		return true
	}
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(p string) bool {
		return !slices.Contains(taken, p)
	})
}
