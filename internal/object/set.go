package object

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Set is an ordered collection of objects, unique by Ref. The zero value is empty and ready.
type Set struct {
	objects   []Object
	index     map[Ref]int
	concealed []string
	// shared: another set has the same index, which must not be changed.
	shared bool
}

// DuplicateError says that two objects have one Ref.
type DuplicateError struct {
	Ref           Ref
	First, Second Origin
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%s is defined twice: %s and %s", e.Ref, e.First, e.Second)
}

// Add appends an object. It fails with a *DuplicateError where the set has one with the same Ref.
func (s *Set) Add(o Object) error {
	r := o.Ref()
	if i, ok := s.at(r); ok {
		return &DuplicateError{Ref: r, First: s.objects[i].Origin, Second: o.Origin}
	}
	switch {
	case s.index == nil:
		s.index = map[Ref]int{}
	case s.shared:
		s.index, s.shared = maps.Clone(s.index), false
		maps.DeleteFunc(s.index, func(_ Ref, i int) bool { return i >= len(s.objects) })
	}
	s.index[r] = len(s.objects)
	s.objects = append(s.objects, o)
	return nil
}

// SetOf returns a set of objects. It fails with a *DuplicateError where two have one Ref.
func SetOf(objects []Object) (Set, error) {
	var set Set
	for _, o := range objects {
		if err := set.Add(o); err != nil {
			return Set{}, err
		}
	}
	return set, nil
}

// Conceal marks values that were decrypted for the objects: they are as secret in a ConfigMap or an
// environment variable as in a Secret.
func (s *Set) Conceal(values []string) { s.concealed = append(s.concealed, values...) }

// Concealed returns the values given to Conceal.
func (s Set) Concealed() []string { return slices.Clone(s.concealed) }

// Objects returns the objects in order. The slice is a copy, the bodies are not.
func (s Set) Objects() []Object { return slices.Clone(s.objects) }

// Refs returns the names of the objects, in order.
func (s Set) Refs() []Ref {
	refs := make([]Ref, len(s.objects))
	for i, o := range s.objects {
		refs[i] = o.Ref()
	}
	return refs
}

// Get returns the object with that Ref.
func (s Set) Get(r Ref) (Object, bool) {
	i, ok := s.at(r)
	if !ok {
		return Object{}, false
	}
	return s.objects[i], true
}

// at returns the index of an object. That of a set which shares its index may have been added to the other.
func (s Set) at(r Ref) (int, bool) {
	i, ok := s.index[r]
	return i, ok && i < len(s.objects)
}

// Len returns the number of objects.
func (s Set) Len() int { return len(s.objects) }

// Map returns the set with each object replaced by the result of f, which clones what it changes. While no
// object gets another Ref, both sets share their index.
func (s Set) Map(f func(Object) (Object, error)) (Set, error) {
	objects, renamed := make([]Object, len(s.objects)), false
	for i, o := range s.objects {
		n, err := f(o)
		if err != nil {
			return Set{}, err
		}
		objects[i], renamed = n, renamed || n.Ref() != o.Ref()
	}
	if !renamed {
		return Set{objects: objects, index: s.index, concealed: s.concealed, shared: true}, nil
	}
	out := Set{concealed: s.concealed}
	for _, o := range objects {
		if err := out.Add(o); err != nil {
			return Set{}, err
		}
	}
	return out, nil
}

// Digest returns "sha256:…" of the objects' canonical JSON. The order of objects and keys and the formatting
// of the source do not matter.
func (s Set) Digest() string {
	sorted := s.Objects()
	slices.SortFunc(sorted, func(a, b Object) int { return a.Ref().Compare(b.Ref()) })
	h := sha256.New()
	enc := json.NewEncoder(h) // sorts keys
	for _, o := range sorted {
		if err := enc.Encode(o.Body); err != nil {
			panic(fmt.Sprintf("object %s has a value without a JSON form: %v", o.Ref(), err))
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
