package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/image/builder"
	"slipway/internal/lazyregexp"
	"slipway/internal/project"
	"slipway/internal/release"
)

// projectDir is the project's directory, for paths that the CI platform wants relative to its checkout.
func (a *app) projectDir() string {
	p, err := project.Open(a.dir)
	if err != nil {
		return a.dir
	}
	return p.Dir
}

// notesOf are the annotations of an error, at the lines of the source that it names.
func notesOf(err error) []ci.Note {
	var (
		failed *deploy.FailedError
		build  *builder.BuildError
		file   *project.FileError
		notes  []ci.Note
	)
	n := ci.Note{Severity: "error", Title: "slipway"}
	if errors.As(err, &failed) {
		n.Title = fmt.Sprintf("release %d of %s", failed.Release.Revision, failed.Environment)
		for _, e := range failed.Release.Evidence {
			n.File, n.Line = e.Origin.File, e.Origin.Line
			n.Text = cleanLines(append([]string{e.Ref.String() + ": " + e.Cause}, evidenceLines(e)...))
			notes = append(notes, n)
		}
		if notes != nil {
			return notes
		}
	}
	switch {
	case errors.As(err, &build):
		n.File, n.Line = build.File, build.Line
	case errors.As(err, &file):
		n.File, n.Line = file.File, file.Line
	}
	n.Text = cleanLines(strings.Split(err.Error(), "\n"))
	return []ci.Note{n}
}

func cleanLines(lines []string) string {
	for i, l := range lines {
		lines[i] = brief(l)
	}
	return strings.Join(lines, "\n")
}

var notInName = lazyregexp.New(`[^A-Za-z0-9_-]+`)

// imageValues are the outputs of build.
func imageValues(pins []image.Pin) ci.Values {
	all, values := map[string]string{}, ci.Values{}
	for _, p := range pins {
		all[p.Name] = p.Reference()
		values["image-"+notInName().ReplaceAllString(p.Name, "-")] = p.Reference()
	}
	values["images"] = compact(all)
	return values
}

// releaseValues are the outputs of deploy.
func releaseValues(r release.Release) ci.Values {
	return ci.Values{
		"release": fmt.Sprint(r.Revision), "status": cmp.Or(string(r.Status), "none"),
		"commit": r.Commit, "digest": r.Digest,
	}
}
