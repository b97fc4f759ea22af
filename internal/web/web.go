// Package web serves the pages that show the environments of a project, and lets people act on them. It
// reads and acts by the functions that the CLI calls, deploy's above all; it decides and computes nothing
// itself, and stores nothing.
package web

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/rollout"
)

//go:embed templates assets
var files embed.FS

// Options are what a site shows, and how it reaches it.
type Options struct {
	// Sources reads the projects as they are now.
	Sources func(context.Context) ([]project.Source, error)
	// Connect returns an environment with its cluster, as deploy.Connect does.
	Connect func(project.Source, project.Environment) (deploy.Target, error)
	// Findings checks a project.
	Findings func(context.Context, project.Source) ([]finding.Finding, error)
	// Why explains a field, and Compare how one environment differs from another, as the verbs do.
	Why     func(context.Context, project.Source, project.Environment, origin.Question) (origin.Chain, error)
	Compare func(ctx context.Context, src project.Source, a, b string) (contract.Result, error)
	// Gates is how the gates of an environment are read; nil: from the project's directory, by promote.Here.
	Gates func(deploy.Target) promote.Access
	// Build is how images are built.
	Build image.Options
	// Who is recorded as the person who acts on the pages.
	Who string
	// Hint says what to do about an error, "" where nothing is known.
	Hint func(error) string
}

// Site serves the pages of some projects.
type Site struct {
	options  Options
	pages    pages
	targets  targets
	findings answers[[]finding.Finding]
	health   answers[[]rollout.Standing]
	drift    answers[deploy.Drift]
	hub      hub
	jobs     jobs
	// base ends with Slipway.
	base context.Context
}

// New prepares a site. What it runs ends with the context: see Wait.
func New(ctx context.Context, o Options) (*Site, error) {
	p, err := parsePages()
	return &Site{options: o, pages: p, base: ctx}, err
}

// Handler serves the pages and their assets. It admits every request: see Local.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	mux.Handle("GET "+assetPath, http.StripPrefix(assetPath, http.FileServerFS(assets)))
	mux.HandleFunc("GET /{$}", s.serveBoard)
	mux.HandleFunc("GET /p/{project}/{environment}", s.ofPast(s.serveEnvironment))
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("GET /p/{project}/{environment}/logs/follow", s.ofPast(s.serveFollow))
	mux.HandleFunc("GET /p/{project}/{environment}/object", s.ofPast(s.serveObject))
	mux.HandleFunc("GET /p/{project}/{environment}/why", s.ofTarget(s.serveWhy))
	mux.HandleFunc("GET /p/{project}/{environment}/history", s.ofPast(s.serveHistory))
	mux.HandleFunc("GET /p/{project}/{environment}/release/{revision}", s.ofTarget(s.serveRelease))
	mux.HandleFunc("GET /p/{project}/{environment}/progress", s.ofTarget(s.serveProgress))
	mux.HandleFunc("GET /p/{project}/{environment}/adopt", s.ofTarget(s.serveAdopt))
	mux.HandleFunc("POST /p/{project}/{environment}/hold", s.ofTarget(s.serveHold))
	mux.HandleFunc("GET /p/{project}/{environment}/{act}", s.ofTarget(s.servePlan))
	mux.HandleFunc("POST /p/{project}/{environment}/{act}", s.ofTarget(s.serveAct))
	mux.HandleFunc("GET /p/{project}/{environment}/check", s.ofTarget(s.serveCheck))
	mux.HandleFunc("GET /p/{project}/{environment}/logs", s.ofPast(s.serveLogs))
	mux.HandleFunc("GET /compare/{project}", s.serveCompare)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage) })
	return mux
}

// assetPath is where the style sheet and the script are.
const assetPath = "/assets/"
