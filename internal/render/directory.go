package render

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// listing is the file that lists the others which render wrote into a directory.
const listing = ".slipway-render"

// WriteDirectory writes one file for each object, named after the object alone, and removes the files that an
// earlier call left. A directory with other files is a *ForeignDirectoryError.
func WriteDirectory(dir string, objects []object.Object) error {
	before, err := written(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	stale := map[string]bool{}
	for _, name := range before {
		stale[name] = true
	}
	names := make([]string, len(objects))
	seen := map[string]object.Ref{}
	for i, o := range objects {
		names[i] = fileName(o)
		if other, ok := seen[names[i]]; ok {
			return fmt.Errorf("write %s: %s and %s have the same file name %s", dir, other, o.Ref(), names[i])
		}
		seen[names[i]] = o.Ref()
		delete(stale, names[i])
	}
	// The list comes first, so that the files of an interrupted call are still known.
	all := strings.Join(slices.AppendSeq(slices.Clone(names), maps.Keys(stale)), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, listing), []byte(all), 0o644); err != nil {
		return err
	}
	for i, o := range objects {
		var text bytes.Buffer
		if err := object.WriteYAML(&text, []object.Object{o}); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, names[i]), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	for name := range stale {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, listing), []byte(strings.Join(names, "\n")+"\n"), 0o644)
}

// ForeignDirectoryError refuses a directory with a file that no render wrote.
type ForeignDirectoryError struct{ Directory, File string }

func (e *ForeignDirectoryError) Error() string {
	return fmt.Sprintf("write %s: %s was not written by slipway render", e.Directory, e.File)
}

// written lists the files that an earlier call wrote into a directory.
func written(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, listing))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ours := map[string]bool{listing: true}
	names := strings.Fields(string(text))
	for _, name := range names {
		ours[name] = filepath.IsLocal(name) && filepath.Base(name) == name
	}
	for _, e := range entries {
		if !ours[e.Name()] {
			return nil, &ForeignDirectoryError{dir, e.Name()}
		}
	}
	return names, nil
}

var unsafe = lazyregexp.New(`[^a-zA-Z0-9.-]+`)

// fileName is "deployment.apps_shop_api.yaml": kind, group, namespace, name.
func fileName(o object.Object) string {
	r := o.Ref()
	kind := r.Kind
	if r.Group != "" {
		kind += "." + r.Group
	}
	if r.Name == "" { // generateName, in what a drop-in renders
		r.Name, _ = o.At("metadata", "generateName").(string)
	}
	parts := []string{strings.ToLower(kind)}
	for _, p := range []string{r.Namespace, r.Name} {
		if p != "" {
			parts = append(parts, unsafe().ReplaceAllString(p, "-"))
		}
	}
	return strings.Join(parts, "_") + ".yaml"
}
