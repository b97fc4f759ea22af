package check

import (
	"errors"
	"strings"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/skaffold"
	"slipway/internal/render/tree"
)

var ruleRender = finding.Rule{
	ID: "render", Group: "project", Severity: finding.Error,
	Title: "The environment does not render",
	Why:   "What does not render cannot be deployed, and nothing else about the environment can be checked.",
	Fix:   "Correct the file at the place that is named, and look at the result with `slipway render ENV`.",
}

var projectRules = []finding.Rule{ruleRender, contract.ExceptionUnused, contract.ExceptionExpired}

// broken says that an environment does not render. One that was only found beside those that are
// deployed may be meant for another tool, so for it that is no fault.
func (r *run) broken(env project.Environment, err error) {
	place, message := where(err)
	for _, e := range r.Project.Others {
		if e.Name == env.Name {
			r.unchecked(finding.Unchecked{Environments: []string{env.Name}, Place: place, What: "environment " +
				env.Name, Why: message})
			return
		}
	}
	f := ruleRender.In(place, "%s", message)
	f.Environments = []string{env.Name}
	r.find(f)
}

// where takes the place out of an error.
func where(err error) (finding.Place, string) {
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
