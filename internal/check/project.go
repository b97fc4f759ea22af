package check

import (
	"errors"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/skaffold"
	"slipway/internal/render/tree"
)

const renders = rule.ID("render")

// notRendered reports an environment that does not render. One that was only found beside those that are
// deployed may be for another tool, so it is reported as unchecked.
func notRendered(p project.Project, env project.Environment, err error, leftOut []LeftOut) found {
	place, message := placeOf(err)
	for _, l := range leftOut {
		var missing *tree.MissingError
		if l.Ignored && errors.As(err, &missing) && missing.Name == l.File {
			message += " (" + l.Why() + ")"
		}
	}
	if isOther(p, env) {
		skipped := finding.Unchecked{Place: place, What: "everything", Why: "not rendered: " + message}
		return found{unchecked: []finding.Unchecked{skipped}}.in(env.Name)
	}
	return found{findings: []finding.Finding{renders.In(place, "%s", message)}}.in(env.Name)
}

// leftOutFinding reports a file that is missing and that Git does not ignore, for the environments that were
// rendered without it.
func leftOutFinding(l LeftOut) found {
	if l.Ignored || len(l.Environments) == 0 {
		return found{}
	}
	place, message := placeOf(l.err)
	f := renders.In(place, "%s", message)
	f.Environments = l.Environments
	return found{findings: []finding.Finding{f}}
}

// isOther reports whether an environment was only found beside those of the project.
func isOther(p project.Project, env project.Environment) bool {
	return slices.ContainsFunc(p.Others, func(e project.Environment) bool { return e.Name == env.Name })
}

// placeOf takes the place out of an error.
func placeOf(err error) (finding.Place, string) {
	var rendering *render.Error
	if errors.As(err, &rendering) {
		err = rendering.Err
	}
	var place finding.Place
	var read *object.ReadError
	var refused *tree.RefusedError
	var file *skaffold.FileError
	switch {
	case errors.As(err, &read):
		place = finding.Place{File: read.File, Line: read.Line}
	case errors.As(err, &refused):
		place = finding.At(refused.Origin)
	case errors.As(err, &file):
		place = finding.Place{File: file.File, Line: file.Line}
	}
	message := strings.ReplaceAll(err.Error(), "\n", " ")
	return place, strings.TrimPrefix(message, place.String()+": ")
}
