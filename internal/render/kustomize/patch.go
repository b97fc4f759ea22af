//lint:file-ignore SA1019 what Kustomize deprecates is built as long as it builds it

package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// strategic plans what patchesStrategicMerge says.
func (s *plan) strategic() {
	at := s.entries("patchesStrategicMerge")
	var all []*resource.Resource
	for i, text := range s.k.PatchesStrategicMerge {
		s.now = at.item(i)
		list, err := s.mergePatch(string(text))
		if err != nil {
			s.err = s.fail(s.now, err)
			return
		}
		all = append(all, list...)
	}
	if len(s.k.PatchesStrategicMerge) > 0 {
		run, err := mergeAll(all)
		s.add("PatchStrategicMergeTransformer", s.field("patchesStrategicMerge"), run, err)
	}
}

// mergePatch reads one that stands in the text or in a file.
func (l *layer) mergePatch(text string) ([]*resource.Resource, error) {
	list, _, err := parse([]byte(text), l.file)
	if err == nil {
		return list, nil
	}
	if strings.Contains(text, "\n") {
		return nil, fmt.Errorf("neither a patch nor a file: %w", reason(err))
	}
	content, rel, err := l.text(text)
	if err != nil {
		return nil, err
	}
	list, _, err = parse(content, rel)
	return list, err
}

// reason is an error without the place that does not fit: lines of a text inside another are not its lines.
func reason(err error) error {
	var read *object.ReadError
	if errors.As(err, &read) {
		return read.Err
	}
	return err
}

func (l *layer) mergePatches(paths []string, text string) (action, error) {
	var all []*resource.Resource
	if text != "" {
		paths = append(paths, text)
	}
	for _, p := range paths {
		list, err := l.mergePatch(p)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return mergeAll(all)
}

// mergeAll applies patches each to the resource that it names.
func mergeAll(patches []*resource.Resource) (action, error) {
	if len(patches) == 0 {
		return nil, errors.New("the patch is empty")
	}
	return func(p *pile) error {
		for _, patch := range patches {
			target, err := p.one(patch.OrgId())
			if err != nil {
				return err
			}
			if err := p.merged(target, patch); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// merged applies a patch of any name to a resource.
func (p *pile) merged(r, patch *resource.Resource) error {
	fit := patch.DeepCopy()
	if err := fit.CopyMergeMetaDataFieldsFrom(patch); err != nil {
		return err
	}
	fit.SetGvk(r.GetGvk())
	fit.SetKind(patch.GetKind())
	about := p.about(r)
	if err := r.ApplySmPatch(fit); err != nil {
		return about(err)
	}
	if r.IsNilOrEmpty() {
		return nil
	}
	p.lent = append(p.lent, r)
	if twins := p.current(r.CurId()); len(twins) > 1 {
		return &object.DuplicateError{Ref: refOf(r), First: p.origins[twins[0]], Second: p.origins[twins[1]]}
	}
	return nil
}

// patchText is what a patch says, wherever it stands.
func (l *layer) patchText(patch types.Patch) (string, string, error) {
	text := strings.TrimSpace(patch.Patch)
	switch {
	case text == "" && patch.Path == "":
		return "", "", errors.New("it needs one of patch and path")
	case text != "" && patch.Path != "":
		return "", "", errors.New("it may not have both patch and path")
	case text != "":
		return text, l.file, nil
	}
	content, rel, err := l.text(patch.Path)
	return string(content), rel, err
}

// patch is what an entry of patches does: one or several merges, or operations on fields.
func (l *layer) patch(patch types.Patch) (action, error) {
	text, file, err := l.patchText(patch)
	if err != nil {
		return nil, err
	}
	merges, _, errMerge := parse([]byte(text), file)
	operations, count, errJSON := operationsOf(text)
	switch {
	case len(merges) > 0 && count > 0:
		return nil, errors.New("it is both a merge and a list of operations")
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
		return func(p *pile) error { return p.mergeNamed(merges) }, nil
	}
	if len(merges) > 1 {
		return nil, errors.New("several merges in one entry cannot have a target: write one entry for each")
	}
	return func(p *pile) error {
		targets, err := p.Select(*patch.Target)
		if err != nil {
			return err
		}
		for _, r := range targets {
			if err := p.merged(r, merges[0]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// unreadable says why a patch is neither a merge nor a list of operations.
func unreadable(text, path string, errMerge, errJSON error) error {
	switch {
	case strings.HasPrefix(text, "[") || strings.HasPrefix(text, "-"):
		return fmt.Errorf("no list of operations: %w", errJSON)
	case path != "":
		return errMerge
	}
	return fmt.Errorf("neither a merge nor a list of operations: %w", reason(errMerge))
}

func (p *pile) mergeNamed(merges []*resource.Resource) error {
	for _, m := range merges {
		r, err := p.one(m.OrgId())
		if err != nil {
			return err
		}
		about := p.about(r)
		if err := r.ApplySmPatch(m.DeepCopy()); err != nil {
			return about(err)
		}
		p.lent = append(p.lent, r)
	}
	return nil
}

// operationsOf reads a JSON patch, which may be written as YAML, and counts its operations.
func operationsOf(text string) (string, int, error) {
	if text == "" {
		return "", 0, errors.New("it is empty")
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

// jsonPatch is what an entry of patchesJson6902 does.
func (l *layer) jsonPatch(patch types.Patch) (action, error) {
	if patch.Target == nil || patch.Target.Name == "" {
		return nil, errors.New("it needs a target with a name")
	}
	text, _, err := l.patchText(patch)
	if err != nil {
		return nil, err
	}
	operations, count, err := operationsOf(text)
	if err != nil {
		return nil, fmt.Errorf("no list of operations: %w", err)
	}
	if count == 0 {
		return nil, errors.New("the patch is empty")
	}
	return operate(patch.Target, operations, false)
}

// operate applies operations to whatever is selected. patches notes the name from before, which
// patchesJson6902 does not.
func operate(target *types.Selector, text string, named bool) (action, error) {
	if text == "null" {
		return func(*pile) error { return nil }, nil
	}
	if target == nil {
		return nil, errors.New("operations need a target")
	}
	operations, err := jsonpatch.DecodePatch([]byte(text))
	if err != nil {
		return nil, err
	}
	return func(p *pile) error {
		found, err := p.Select(*target)
		if err != nil {
			return err
		}
		for _, r := range found {
			if named {
				remember(r)
			}
			internal := kioutil.GetInternalAnnotations(&r.RNode)
			if err := change(r, operations); err != nil {
				return p.about(r)(err)
			}
			annotations := r.GetAnnotations()
			maps.Copy(annotations, internal)
			setAnnotations(r, annotations)
		}
		return nil
	}, nil
}

// The text of an object that operations may not grow beyond.
const maxText = 8 << 20

// change applies operations to a resource. Copies of copies are the ones that grow without end.
func change(r *resource.Resource, operations jsonpatch.Patch) error {
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
