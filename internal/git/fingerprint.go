package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fingerprint hashes the commit and the content of the changed paths.
func fingerprint(ctx context.Context, dir, commit string, changed []string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	defer root.Close()
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00", commit)
	for _, path := range changed {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := hashPath(h, root, filepath.FromSlash(strings.TrimSuffix(path, "/"))); err != nil {
			return "", fmt.Errorf("fingerprint: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// hashPath adds the name, kind and content of one path. A path that does not exist counts as deleted.
func hashPath(h hash.Hash, root *os.Root, path string) error {
	info, err := root.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(h, "%s\x00deleted\x00", path)
		return nil
	}
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir(): // a repository within the repository
		return hashFolder(h, root, path)
	case mode&fs.ModeSymlink != 0:
		target, err := root.Readlink(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s\x00link\x00%s\x00", path, target)
	case mode.IsRegular():
		fmt.Fprintf(h, "%s\x00file %t %d\x00", path, mode&0o100 != 0, info.Size())
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
	}
	return nil
}

func hashFolder(h hash.Hash, root *os.Root, path string) error {
	return fs.WalkDir(root.FS(), filepath.ToSlash(path), func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".git" && e.IsDir():
			return fs.SkipDir
		case e.IsDir() || e.Name() == ".git":
			return nil
		}
		return hashPath(h, root, filepath.FromSlash(p))
	})
}
