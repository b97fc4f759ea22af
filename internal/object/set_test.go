package object

import (
	"errors"
	"testing"
)

func named(name string) Object {
	return Object{Body: map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
}

func setOf(t *testing.T, names ...string) Set {
	t.Helper()
	var s Set
	for _, name := range names {
		if err := s.Add(named(name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func has(s Set, name string) bool {
	o, ok := s.Get(named(name).Ref())
	return ok && o.Ref().Name == name
}

// Sets that Map has made of each other share an index, and not what is added later.
func TestMapShares(t *testing.T) {
	first := setOf(t, "a", "b")
	second, err := first.Map(func(o Object) (Object, error) { return o, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Add(named("c")); err != nil {
		t.Fatal(err)
	}
	if has(second, "c") {
		t.Error("an object that was added to one set is in the other")
	}
	if err := second.Add(named("d")); err != nil {
		t.Fatal(err)
	}
	if !has(first, "c") || has(first, "d") || has(second, "c") || !has(second, "d") || !has(second, "a") {
		t.Errorf("first %v, second %v", first.Refs(), second.Refs())
	}
	if err := second.Add(named("c")); err != nil {
		t.Errorf("an object of the other set alone: %v", err)
	}
	var twice *DuplicateError
	if err := second.Add(named("a")); !errors.As(err, &twice) {
		t.Errorf("an object of both sets: %v", err)
	}
	renamed, err := first.Map(func(o Object) (Object, error) { return named("x-" + o.Ref().Name), nil })
	if err != nil || !has(renamed, "x-a") || has(renamed, "a") {
		t.Errorf("renamed: %v, %v", renamed.Refs(), err)
	}
}
