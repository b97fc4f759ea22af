package metadata

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/ci"
)

// withDefaults fills in the defaults of the action.
func (in Inputs) withDefaults() Inputs {
	in.Context = cmp.Or(in.Context, "workflow")
	in.SepTags, in.SepLabels, in.SepAnnotations = cmp.Or(in.SepTags, "\n"), cmp.Or(in.SepLabels, "\n"),
		cmp.Or(in.SepAnnotations, "\n")
	in.BakeTarget = cmp.Or(in.BakeTarget, "docker-metadata-action")
	return in
}

// Document is a result for programs.
type Document struct {
	Version     string            `json:"version"`
	Tags        []string          `json:"tags"`
	TagNames    []string          `json:"tag-names"`
	Labels      map[string]string `json:"labels"`
	Annotations []string          `json:"annotations"`
}

// Document gives the result with annotations at their levels.
func (r Result) Document(levels []string) Document {
	d := Document{Version: r.Version, Tags: append([]string{}, r.Tags...), TagNames: append([]string{},
		r.TagNames...),
		Labels: map[string]string{}, Annotations: []string{}}
	for _, label := range r.Labels {
		key, value, _ := strings.Cut(label, "=")
		// The action loses all lines but the first, here only.
		if end := strings.IndexAny(value, "\n\r\u2028\u2029"); end >= 0 {
			value = value[:end]
		}
		d.Labels[key] = value
	}
	for _, level := range levels {
		for _, annotation := range r.Annotations {
			d.Annotations = append(d.Annotations, level+":"+annotation)
		}
	}
	return d
}

// Outputs are the outputs of the action by name. Those that start with bake-file hold the text of the file.
func (r Result) Outputs(in Inputs, c Context) map[string]string {
	in = in.withDefaults()
	d := r.Document(c.Levels)
	// The action's output "json" lacks the version.
	action := struct {
		Tags        []string          `json:"tags"`
		TagNames    []string          `json:"tag-names"`
		Labels      map[string]string `json:"labels"`
		Annotations []string          `json:"annotations"`
	}{d.Tags, d.TagNames, d.Labels, d.Annotations}
	args := map[string]string{"DOCKER_META_IMAGES": strings.Join(r.Images, ","),
		"DOCKER_META_VERSION": r.Version}
	if r.Version == "" {
		delete(args, "DOCKER_META_VERSION")
	}
	bake := func(target map[string]any) string {
		return encode(map[string]any{"target": map[string]any{in.BakeTarget: target}}, "  ")
	}
	return map[string]string{
		"version": r.Version, "tags": strings.Join(r.Tags, in.SepTags),
		"tag-names": strings.Join(r.TagNames, in.SepTags),
		"labels":    strings.Join(r.Labels, in.SepLabels), "annotations": strings.Join(d.Annotations,
			in.SepAnnotations),
		"json":                  encode(action, ""),
		"bake-file-tags":        bake(map[string]any{"tags": d.Tags, "args": args}),
		"bake-file-labels":      bake(map[string]any{"labels": d.Labels}),
		"bake-file-annotations": bake(map[string]any{"annotations": d.Annotations}),
		"bake-file":             bake(map[string]any{"tags": d.Tags, "labels": d.Labels, "args": args}),
	}
}

// encode writes JSON without escaping <, > and &. The values here can always be written.
func encode(v any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}

// SetOutputs sets the outputs of the action's step and, unless DOCKER_METADATA_SET_OUTPUT_ENV is false,
// variables for later steps. It writes the bake files first, so that no output names a file that
// does not exist.
func SetOutputs(outputs map[string]string, env ci.Env) error {
	dir, err := os.MkdirTemp(env("RUNNER_TEMP"), "slipway-tags-")
	if err != nil {
		return fmt.Errorf("write the bake files: %w", err)
	}
	values, variables := ci.Values{}, ci.Values{}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		value := outputs[name]
		if kind, ok := strings.CutPrefix(name, "bake-file"); ok {
			value = filepath.Join(dir, "docker-metadata-action-bake"+kind+".json")
			if err := os.WriteFile(value, []byte(outputs[name]), 0o644); err != nil {
				return fmt.Errorf("write the bake files: %w", err)
			}
		}
		variable := "DOCKER_METADATA_OUTPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		values[name], variables[variable] = value, value
	}
	err = ci.WriteValues(env("GITHUB_OUTPUT"), values)
	if err == nil && env("DOCKER_METADATA_SET_OUTPUT_ENV") != "false" {
		err = ci.WriteValues(env("GITHUB_ENV"), variables)
	}
	if err != nil {
		return fmt.Errorf("set the step's outputs: %w", err)
	}
	return nil
}
