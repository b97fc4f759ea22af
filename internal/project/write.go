package project

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// CreateFile writes a new file, with the directories above it. It fails where the name exists, and leaves no
// part of a file behind. The name is relative to root, with forward slashes.
func CreateFile(root *os.Root, name, text string) error {
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = w.WriteString(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}

// ReplaceFile writes another text into a regular file and keeps its mode: readers see the old text or the new
// one, never a part. It refuses symbolic links.
func ReplaceFile(root *os.Root, name string, text []byte) error {
	name = filepath.FromSlash(name)
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is a symbolic link: change its target instead")
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".slipway")
	err = root.WriteFile(temporary, text, info.Mode().Perm())
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		_ = root.Remove(temporary)
	}
	return err
}

// ReplaceFiles replaces several files below dir, all of them or none.
func ReplaceFiles(ctx context.Context, dir string, files map[string][]byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	done := map[string][]byte{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		old, err := root.ReadFile(filepath.FromSlash(file))
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = ReplaceFile(root, file, files[file])
		}
		if err != nil {
			for name, old := range done {
				err = errors.Join(err, ReplaceFile(root, name, old))
			}
			return fmt.Errorf("write %s: %w", file, err)
		}
		done[file] = old
	}
	return nil
}
