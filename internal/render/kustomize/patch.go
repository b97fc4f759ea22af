//lint:file-ignore SA1019 what Kustomize deprecates is built as long as it builds it

package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// strategicMerges makes the step of patchesStrategicMerge.
func strategicMerges(l *layer) ([]step, error) {
	if len(l.PatchesStrategicMerge) == 0 {
		return nil, nil
	}
	var texts []string
	for _, text := range l.PatchesStrategicMerge {
		texts = append(texts, string(text))
	}
	at := l.entries(len(texts), "patchesStrategicMerge")
	run, err := mergeAll(l, texts, func(i int) entry { return at[i] })
	field := l.fieldEntry("patchesStrategicMerge")
	if err != nil {
		return nil, field.fail(err)
	}
	return []step{{field, l.builtin("PatchStrategicMergeTransformer"), run}}, nil
}

// mergeAll applies patches, each to the resource that it names. A text is a patch or the path of its file.
func mergeAll(l *layer, texts []string, at func(int) entry) (change, error) {
	var patches []mergePatch
	for i, text := range texts {
		list, err := readMerge(l, at(i), text)
		if err != nil {
			return nil, at(i).fail(err)
		}
		patches = append(patches, list...)
	}
	isEmptied := func(text string) bool { return l.view.IsEmptied(path.Join(l.dir, text)) }
	if len(patches) == 0 && !slices.ContainsFunc(texts, isEmptied) {
		return nil, errors.New("the patch is empty")
	}
	return func(m *resources) error {
		for _, patch := range patches {
			target, err := m.one(patch.OrgId())
			if err != nil {
				return err
			}
			m.chosen = append(m.chosen, m.selection(patch.entry))
			if err := merge(m, target, patch); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func readMerge(l *layer, at entry, text string) ([]mergePatch, error) {
	list, origins, err := parse([]byte(text), l.file)
	if err == nil {
		return placed(list, origins, l.file, at.node, at), nil
	}
	if strings.Contains(text, "\n") {
		return nil, fmt.Errorf("neither a patch nor a file: %w", reason(err))
	}
	content, rel, err := l.readFile(at, text)
	if err != nil {
		return nil, err
	}
	if l.view.IsEmptied(rel) {
		return nil, nil
	}
	list, origins, err = parse(content, rel)
	return placed(list, origins, rel, nil, at), err
}

// reason drops the place of an error, because the lines of an inline text are not those of the file.
func reason(err error) error {
	var read *object.ReadError
	if errors.As(err, &read) {
		return read.Err
	}
	return err
}

// merge applies a patch of any name to a resource.
func merge(m *resources, r *resource.Resource, patch mergePatch) error {
	fit := patch.DeepCopy()
	if err := fit.CopyMergeMetaDataFieldsFrom(patch.Resource); err != nil {
		return err
	}
	fit.SetGvk(r.GetGvk())
	fit.SetKind(patch.GetKind())
	if err := applyMerge(m, r, fit, patch); err != nil {
		return err
	}
	if r.IsNilOrEmpty() {
		return nil
	}
	m.changed = append(m.changed, r)
	if twins := m.current(r.CurId()); len(twins) > 1 {
		first, second := m.origins[twins[0]], m.origins[twins[1]]
		return &object.DuplicateError{Ref: refOf(r.CurId()), First: first, Second: second}
	}
	return nil
}

// patchText returns the text of a patch, and the file that holds it.
func patchText(l *layer, at entry, patch types.Patch) (text, file string, err error) {
	text = strings.TrimSpace(patch.Patch)
	switch {
	case text == "" && patch.Path == "":
		return "", "", errors.New("patch or path is required")
	case text != "" && patch.Path != "":
		return "", "", errors.New("patch and path are mutually exclusive")
	case text != "":
		return text, l.file, nil
	}
	content, file, err := l.readFile(at, patch.Path)
	return string(content), file, err
}

// patchChange is the change of an entry of patches: one or several merge patches, or a JSON patch.
func patchChange(l *layer, at entry, patch types.Patch) (change, error) {
	text, file, err := patchText(l, at, patch)
	if err != nil {
		return nil, err
	}
	list, origins, errMerge := parse([]byte(text), file)
	merges := placed(list, origins, file, find(at.node, "patch"), at)
	operations, count, errJSON := operationsOf(text)
	switch {
	case len(merges) > 0 && count > 0:
		return nil, errors.New("both a merge patch and a JSON patch")
	case errMerge != nil && errJSON != nil:
		return nil, unreadable(text, patch.Path, errMerge, errJSON)
	case errMerge != nil:
		return operate(patch.Target, operations, true)
	}
	for _, m := range merges {
		if patch.Options != nil && patch.Options.AllowNameChange {
			m.AllowNameChange()
		}
		if patch.Options != nil && patch.Options.AllowKindChange {
			m.AllowKindChange()
		}
	}
	if patch.Target == nil || len(merges) == 0 {
		return mergeNamed(merges), nil
	}
	if len(merges) > 1 {
		return nil, errors.New("several merge patches in one entry cannot have a target: write an entry for each")
	}
	return func(m *resources) error {
		targets, err := m.Select(*patch.Target)
		if err != nil {
			return err
		}
		for _, r := range targets {
			if err := merge(m, r, merges[0]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// unreadable says why a patch is neither a merge patch nor a JSON patch.
func unreadable(text, path string, errMerge, errJSON error) error {
	switch {
	case strings.HasPrefix(text, "[") || strings.HasPrefix(text, "-"):
		return fmt.Errorf("not a JSON patch: %w", errJSON)
	case path != "":
		return errMerge
	}
	return fmt.Errorf("neither a merge patch nor a JSON patch: %w", reason(errMerge))
}

// mergeNamed applies patches as they are.
func mergeNamed(patches []mergePatch) change {
	return func(m *resources) error {
		for _, patch := range patches {
			r, err := m.one(patch.OrgId())
			if err != nil {
				return err
			}
			m.chosen = append(m.chosen, Selection{
				At: patch.place(patch.YNode().Line), Objects: []object.Origin{m.origins[r]},
			})
			if err := applyMerge(m, r, patch.DeepCopy(), patch); err != nil {
				return err
			}
			m.changed = append(m.changed, r)
		}
		return nil
	}
}

// operationsOf reads a JSON patch, written as JSON or YAML, and counts its operations.
func operationsOf(text string) (string, int, error) {
	if text == "" {
		return "", 0, errors.New("empty")
	}
	if text[0] != '[' {
		t, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return "", 0, err
		}
		text = string(t)
	}
	var list []map[string]*json.RawMessage
	err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&list)
	return text, len(list), err
}

// jsonPatchChange is the change of an entry of patchesJson6902.
func jsonPatchChange(l *layer, at entry, patch types.Patch) (change, error) {
	if patch.Target == nil || patch.Target.Name == "" {
		return nil, errors.New("target.name is required")
	}
	text, file, err := patchText(l, at, patch)
	if err != nil {
		return nil, err
	}
	if l.view.IsEmptied(file) {
		return func(*resources) error { return nil }, nil
	}
	operations, count, err := operationsOf(text)
	if err != nil {
		return nil, fmt.Errorf("not a JSON patch: %w", err)
	}
	if count == 0 {
		return nil, errors.New("the patch is empty")
	}
	return operate(patch.Target, operations, false)
}

// operate applies operations to the selected resources. The field patches notes their previous name,
// patchesJson6902 does not.
func operate(target *types.Selector, text string, named bool) (change, error) {
	if text == "null" {
		return func(*resources) error { return nil }, nil
	}
	if target == nil {
		return nil, errors.New("a JSON patch needs a target")
	}
	operations, err := jsonpatch.DecodePatch([]byte(text))
	if err != nil {
		return nil, err
	}
	return func(m *resources) error {
		found, err := m.Select(*target)
		if err != nil {
			return err
		}
		for _, r := range found {
			if named {
				r.StorePreviousId()
			}
			operations := operations
			if m.isBystander(r) {
				if operations = ofIdentity(operations); len(operations) == 0 {
					continue
				}
			}
			internal := kioutil.GetInternalAnnotations(&r.RNode)
			if err := applyOperations(r, operations); err != nil {
				return about(m, r)(err)
			}
			annotations := r.GetAnnotations()
			maps.Copy(annotations, internal)
			if err := r.SetAnnotations(annotations); err != nil {
				return about(m, r)(err)
			}
		}
		return nil
	}, nil
}

// The limit of an object's text while operations are applied.
const maxText = 8 << 20

// applyOperations applies operations to a resource. Copies of copies can grow exponentially.
func applyOperations(r *resource.Resource, operations jsonpatch.Patch) error {
	body, err := bodyOf(r.YNode())
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	size := len(operations)
	if copies := slices.DeleteFunc(slices.Clone(operations), func(o jsonpatch.Operation) bool {
		return o.Kind() != "copy"
	}); len(copies) > 10 {
		size = 1
	}
	for part := range slices.Chunk(operations, max(size, 1)) {
		if text, err = part.Apply(text); err != nil {
			return err
		}
		if len(text) > maxText {
			return fmt.Errorf("the object grows beyond %d MiB", maxText>>20)
		}
	}
	var changed map[string]any
	if err := json.Unmarshal(text, &changed); err != nil {
		return err
	}
	r.SetYNode(nodeOf(changed))
	return nil
}
