// Package render makes one environment's objects from its folder: a Kustomize overlay, or plain
// YAML. It runs no other program, reads nothing outside the project, writes nothing and uses no
// network.
package render

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"slipway/internal/object"
	"slipway/internal/project"
)

// Result is what rendering gives.
type Result struct {
	Set object.Set
	// Warnings are what worked but should not stay so, each with its file and line where known.
	Warnings []string
}

// Error says that an environment could not be rendered.
type Error struct {
	Environment string
	Err         error
}

func (e *Error) Error() string { return fmt.Sprintf("render %s: %v", e.Environment, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// PanicError is a panic of a library, kept to the environment that met it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("the renderer broke down: %v", e.Value) }

// RefusedError says what Slipway does not do for a source, and where the source asks for it.
type RefusedError struct {
	Origin object.Origin
	// What was asked for, and Why it is not done.
	What, Why string
}

func (e *RefusedError) Error() string {
	msg := e.What + ": " + e.Why
	if at := e.Origin.String(); at != "" {
		return at + ": " + msg
	}
	return msg
}

// Render renders one environment of the project at dir. Objects come in Kustomize's order, or in
// that of the files; their origins are relative to dir. Namespaces are left as they are written.
// An error is an *Error.
func Render(ctx context.Context, dir string, env project.Environment) (result Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		if err != nil {
			result, err = Result{}, &Error{Environment: env.Name, Err: err}
		}
	}()
	if env.Path == "" {
		return Result{}, errors.New("the environment has no path")
	}
	t, err := openTree(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	defer t.close()
	return t.render(env.Path)
}

func (t *tree) render(path string) (Result, error) {
	info, err := t.root.Stat(path)
	if err != nil {
		return Result{}, t.explain(path, err)
	}
	if !info.IsDir() {
		return Result{}, fmt.Errorf("%s is no folder", path)
	}
	name, err := t.kustomization(path)
	if err != nil {
		return Result{}, err
	}
	if name != "" {
		return overlay(t, path)
	}
	if t.isFile(path, "Chart.yaml") {
		return Result{}, &RefusedError{Origin: object.Origin{File: join(path, "Chart.yaml")}, What: "a Helm chart", Why: "not rendered yet"}
	}
	return plain(t, path)
}
