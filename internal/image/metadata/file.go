package metadata

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"slipway/internal/lazyregexp"
)

// WithFile returns the inputs with those of a YAML file, relative to dir, where they are empty. It fails with
// an *InputError for a file that cannot be read or has other keys.
func WithFile(in Inputs, dir, name string) (Inputs, error) {
	given, err := json.Marshal(in)
	if err != nil {
		return in, err
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &in)
	}
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) {
		err = missing.Err
	}
	if err := errors.Join(err, json.Unmarshal(given, &in)); err != nil {
		return in, &InputError{Input: name, Why: unmarshalled().ReplaceAllString(err.Error(), "")}
	}
	return in, nil
}

// unmarshalled matches the part of an error that is about the YAML library, not about the file.
var unmarshalled = lazyregexp.New(
	`^error (unmarshaling|converting YAML to) JSON: (while decoding JSON: )?(json: |yaml: )?`)
