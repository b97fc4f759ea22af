package schema

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"slipway/internal/object"
)

// ReadDefinitions reads the objects of files, and of the YAML and JSON files in directories.
func ReadDefinitions(paths []string) ([]object.Object, error) {
	var all []object.Object
	for _, top := range paths {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			manifest := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
			if err != nil || d.IsDir() || !manifest && path != top {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			list, err := object.Read(bytes.NewReader(text), path)
			all = append(all, list...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read definitions in %s: %w", top, err)
		}
	}
	return all, nil
}
