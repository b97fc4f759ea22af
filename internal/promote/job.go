package promote

import (
	"context"
	"fmt"
	"path"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// Job is the part of a promotion that reads what others have written. Work does it, in whichever process. The
// shape is JSON between processes.
type Job struct {
	Project     project.Project     `json:"project"`
	Environment project.Environment `json:"environment"`
	Render      render.Options      `json:"render"`
	// Pins are the images to promote. From asks instead for those that the files of both environments have in
	// common.
	Pins []image.Pin          `json:"pins,omitempty"`
	From *project.Environment `json:"from,omitempty"`
	// Followed asks for the images that follow tags.
	Followed bool `json:"followed,omitempty"`
}

// Answer is the result of a Job. With an Error it has Touched alone.
type Answer struct {
	// Files are the edited files, relative to the project.
	Files  map[string][]byte `json:"files,omitempty"`
	Lines  []finding.Line    `json:"lines,omitempty"`
	Images []image.Pin       `json:"images,omitempty"`
	Before []image.Pin       `json:"before,omitempty"`
	After  []image.Pin       `json:"after,omitempty"`
	Notes  []string          `json:"notes,omitempty"`
	// Touched is everything below the project's directory that was looked at.
	Touched []tree.Read `json:"touched,omitempty"`
	Error   string      `json:"error,omitempty"`
}

// Work does a job. The error is part of the answer.
func Work(ctx context.Context, job Job) Answer {
	r, err := render.OpenProject(job.Project, job.Render)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	defer r.Close()
	var a Answer
	switch {
	case job.From != nil:
		a.Images, err = namedIn(ctx, r, job.Environment, *job.From)
	case job.Followed:
		a.Images, err = followed(ctx, r, job.Environment)
	default:
		var p Promotion
		p, err = planIn(ctx, r, job.Project, job.Environment, job.Pins)
		a = Answer{Files: p.Files, Lines: finding.LinesOf(p.Changes), Images: p.Images, Before: p.Before,
			After: p.After, Notes: p.Notes}
	}
	if err != nil {
		a = Answer{Error: err.Error()}
	}
	a.Touched = r.Touched()
	return a
}

// Draft is a commit of a promotion that is on no branch yet.
type Draft struct {
	Environment string
	// Base is the commit that it is made on.
	Base, Commit string
	Title        string
	// Text is the message of the commit, Body that of a pull request.
	Text, Body string
	By         git.Person

	message message
}

// Signature is who made a commit of a promotion, and why.
type Signature struct {
	By git.Person
	// Why are lines of the message, and With is the trailer of a co-author; both may be empty.
	Why  []string
	With string
}

// Compose commits an answer on top of a commit, without a working tree. It fails with an *OlderError where an
// image would be replaced by an older one, and with an *image.NotFoundError where the registry of the
// environment does not have an image.
func Compose(
	ctx context.Context, t deploy.Target, r git.Repository, a Answer, s Signature,
) (Draft, error) {
	result := Result{
		Environment: t.Environment.Name, Promotion: Promotion{Images: a.Images, Before: a.Before, After: a.After},
	}
	if err := (past{t, &r}).refuseOlder(ctx, &result, Options{}); err != nil {
		return Draft{}, err
	}
	for _, pin := range a.After {
		at := reached(t.Environment, pin)
		if _, err := image.Resolve(ctx, at.Reference(), t.Reach(image.Options{})); err != nil {
			return Draft{}, fmt.Errorf("promote %s to %s: %w", pin.Name, t.Environment.Name, err)
		}
	}
	files := map[string][]byte{}
	for name, text := range a.Files {
		files[path.Join(t.Source.Path, name)] = text
	}
	m := describe(ctx, r, result, Options{reasons: s.Why})
	d := Draft{
		Environment: t.Environment.Name, Base: t.Source.Commit, Title: m.title, Text: m.text() + s.With,
		Body: m.markdown(), By: s.By, message: m,
	}
	var err error
	d.Commit, err = r.Compose(ctx, d.Base, files, d.Text, s.By)
	return d, err
}
