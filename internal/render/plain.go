package render

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
)

// plain reads the YAML and JSON files of a folder and of the folders in it, in the order of their
// paths. Hidden ones, and folders that something else renders, are left out.
func plain(t *tree, folder string) (Result, error) {
	var result Result
	files, err := t.manifests(folder, &result)
	if err != nil {
		return Result{}, err
	}
	for _, f := range files {
		text, err := t.read(f)
		if err != nil {
			return Result{}, err
		}
		objects, err := object.Read(bytes.NewReader(text), f)
		if err != nil {
			return Result{}, err
		}
		for _, o := range objects {
			if err := result.Set.Add(o); err != nil {
				return Result{}, err
			}
		}
	}
	if result.Set.Len() == 0 {
		return Result{}, fmt.Errorf("%s: %w", folder, ErrEmpty)
	}
	return result, nil
}

func (t *tree) manifests(folder string, result *Result) ([]string, error) {
	entries, err := fs.ReadDir(t.root.FS(), path.Clean(folder))
	if err != nil {
		return nil, t.explain(folder, err)
	}
	var files []string
	for _, e := range entries {
		name := join(folder, e.Name())
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		if strings.HasPrefix(e.Name(), ".") || name == project.File {
			continue
		}
		info, err := t.root.Stat(name) // follows links: those that lead out are refused here
		if err != nil {
			return nil, t.explain(name, err)
		}
		if info.IsDir() {
			more, err := t.subfolder(name, e.Type()&fs.ModeSymlink != 0, result)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
			continue
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

func (t *tree) subfolder(name string, link bool, result *Result) ([]string, error) {
	kustomization, err := t.kustomization(name)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case kustomization != "":
		why = "it has a kustomization of its own"
	case t.isFile(name, "Chart.yaml"):
		why = "it is a Helm chart"
	case link: // could lead round in a circle
		why = "it is a link to a folder"
	default:
		return t.manifests(name, result)
	}
	result.Warnings = append(result.Warnings, fmt.Sprintf("%s is left out: %s", name, why))
	return nil, nil
}
