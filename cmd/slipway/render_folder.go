package main

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

// listing names the file that says which others in its folder render wrote.
const listing = ".slipway-render"

// writeFolder writes one file an object, with names that depend on the object alone, and removes
// those that an earlier render left. Files of somebody else are never touched.
func (a *app) writeFolder(folder string, objects []object.Object) error {
	before, err := written(folder)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
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
			return fmt.Errorf("write %s: %s and %s would both be %s", folder, other, o.Ref(), names[i])
		}
		seen[names[i]] = o.Ref()
		delete(stale, names[i])
	}
	// The list first: what is interrupted is still known as ours.
	all := strings.Join(slices.AppendSeq(slices.Clone(names), maps.Keys(stale)), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(folder, listing), []byte(all), 0o644); err != nil {
		return err
	}
	for i, o := range objects {
		var text bytes.Buffer
		if err := object.WriteYAML(&text, []object.Object{o}); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, names[i]), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	for name := range stale {
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	a.warn("%d objects in %s", len(objects), folder)
	return os.WriteFile(filepath.Join(folder, listing), []byte(strings.Join(names, "\n")+"\n"), 0o644)
}

// foreignFolderError says that a folder holds something else than an earlier render.
type foreignFolderError struct{ Folder, File string }

func (e *foreignFolderError) Error() string {
	return fmt.Sprintf("write %s: it holds %s, which no render wrote", e.Folder, e.File)
}

// written is what an earlier render wrote into a folder. A folder with anything else is not taken.
func written(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, listing))
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
			return nil, &foreignFolderError{folder, e.Name()}
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
