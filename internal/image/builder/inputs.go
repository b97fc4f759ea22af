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

// largeContext is the size from which a build context is probably a mistake.
const largeContext = 500 << 20

// Inputs returns a digest of what determines an image's content: the Dockerfile, the files that it copies
// from the context, target, arguments, platforms and the names of secrets. It does not include labels, the
// time, and what is fetched during the build, such as the base image of a tag.
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

// writeTo writes all inputs that are not files of the context.
func (r Request) writeTo(h hash.Hash, dockerfile []byte) {
	platforms := r.Platforms
	if len(platforms) == 0 {
		// The builder's own platform: the image of another machine's is another image.
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

// hashFile adds a file as BuildKit sees it: without times and owner.
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

// warn warns of a context that is probably larger than intended.
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
	r.notify(fmt.Sprintf("warning: the build reads %d MB from the context: %s; list files that it does not "+
		"need in .dockerignore", total>>20, strings.Join(names, ", ")))
}

// sources are the files of the context that BuildKit sees when it asks for those paths; nil for all files.
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

// excludes reads the .dockerignore of the Dockerfile, else that of the context.
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

// taken are the paths of the context that any stage of a Dockerfile copies or mounts; nil means all of them,
// or that it is not known. Build compares them with the paths that BuildKit asks for.
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

// stagesOf parses the stages of a Dockerfile; nil for an invalid one, which BuildKit reports.
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

// Moving returns the base images of a Dockerfile that are named without a digest, so that they may change.
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

// ignoreFile is read from each context.
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

// foresaw tells whether Inputs includes those paths of the context. It does not where a base image has
// ONBUILD instructions, or where another front end reads the Dockerfile.
func foresaw(taken, asked []string) bool {
	if taken == nil {
		return true
	}
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(p string) bool {
		return !slices.Contains(taken, p)
	})
}
