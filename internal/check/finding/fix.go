package finding

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"slipway/internal/project"
)

// Fix makes the edits of findings in the files below dir, each file at once. It returns the edits that it
// made, by file and from the start of each file.
func Fix(dir string, findings []Finding) ([]Change, error) {
	byFile := map[string][]Edit{}
	for _, f := range findings {
		for _, e := range f.Edits {
			byFile[e.File] = append(byFile[e.File], e)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	var fixed []Change
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		old, err := root.ReadFile(filepath.FromSlash(file))
		if err != nil {
			return fixed, fmt.Errorf("fix %s: %w", file, err)
		}
		text, made := Apply(old, byFile[file])
		if len(made) == 0 {
			continue
		}
		if err := project.ReplaceFile(root, file, text); err != nil {
			return fixed, fmt.Errorf("fix %s: %w", file, err)
		}
		for _, e := range slices.Backward(made) {
			fixed = append(fixed, Change{e, old})
		}
	}
	return fixed, nil
}
