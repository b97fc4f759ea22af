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
	"slipway/internal/release"
	"slipway/internal/rollout"
)

//go:embed templates assets
var files embed.FS

// Options are what a site shows, and how it reaches it.
type Options struct {
	// Sources reads the projects as they are now. The error beside them is about those that it could not read, a
	// line each.
	Sources func(context.Context) ([]project.Source, error)
	// Connect returns an environment with its cluster, as deploy.Connect does. The site reads through it.
	Connect ConnectFunc
	// People decides what persons may do; nil: everybody who reaches the site may do everything.
	People People
	// Login is the path of the page to sign in at; empty: people do not sign in.
	Login string
	// AfterUndo says what the keeper of an environment does when a release is undone, in one sentence; empty
	// or nil: nothing.
	AfterUndo func(project.Source, project.Environment) string
	// Upstream names the branch that an undo can revert a commit on; empty or nil: it does not. Revert does so,
	// and returns the commit.
	Upstream func(context.Context, project.Source) string
	Revert   func(context.Context, deploy.Target, promote.Undone) (string, error)
	// Findings checks all environments of a project; nil: it is not checked.
	Findings func(context.Context, project.Source) (finding.Outcome, error)
	// Why explains a field, and Compare how one environment differs from another, as the verbs do; nil: these
	// pages do not exist.
	Why     func(context.Context, project.Source, project.Environment, origin.Question) (origin.Chain, error)
	Compare func(ctx context.Context, src project.Source, a, b string) (contract.Result, error)
	// Promotes promotes images between environments, for the persons behind requests; nil: pages do not.
	Promotes Promoter
	// Override plans a deploy of the images of another environment without a commit, for the persons behind
	// requests, where promotions must not be committed; nil: pages do not.
	Override func(ctx context.Context, t deploy.Target, from string) (deploy.Proposal, error)
	// Board reads all environments of a source; nil: promote.Board does, with the project's directory.
	Board func(context.Context, project.Source) []promote.Standing
	// Build is how images are built; nil: they are not.
	Build *image.Options
	// Who is recorded as the person who acts on the pages, where requests have none.
	Who string
	// Hint says what to do about an error, "" where nothing is known.
	Hint func(error) string
}

// Site serves the pages of some projects.
type Site struct {
	options  Options
	pages    pages
	findings answers[finding.Outcome]
	health   answers[[]rollout.Standing]
	drift    answers[deploy.Drift]
	records  release.Decoded
	hub      hub
	jobs     jobs
	// base ends with Slipway.
	base context.Context
}

// New prepares a site. What it runs ends with the context: see Wait.
func New(ctx context.Context, o Options) (*Site, error) {
	p, err := parsePages()
	if o.People == nil {
		o.People = self{}
	}
	if o.Board == nil {
		o.Board = func(ctx context.Context, src project.Source) []promote.Standing {
			return promote.Board(ctx, src, connector(src, o.Connect), nil)
		}
	}
	return &Site{options: o, pages: p, base: ctx}, err
}

// Handler serves the pages and their assets. It admits every request: see Local.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	mux.Handle("GET "+AssetPath, http.StripPrefix(AssetPath, http.FileServerFS(assets)))
	mux.HandleFunc("GET /{$}", s.serveBoard)
	mux.HandleFunc("GET /p/{project}/{environment}", s.ofPast(toSee, s.serveEnvironment))
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("GET /p/{project}/{environment}/logs/follow", s.ofPast(toFollow, s.serveFollow))
	mux.HandleFunc("GET /p/{project}/{environment}/object", s.ofPast(toRead, s.serveObject))
	mux.HandleFunc("GET /p/{project}/{environment}/why", s.ofTarget(toRead, s.serveWhy))
	mux.HandleFunc("GET /p/{project}/{environment}/history", s.ofPast(toSee, s.serveHistory))
	mux.HandleFunc("GET /p/{project}/{environment}/release/{revision}", s.ofTarget(toSee, s.serveRelease))
	mux.HandleFunc("GET /p/{project}/{environment}/progress", s.ofTarget(toAct, s.serveProgress))
	mux.HandleFunc("GET /p/{project}/{environment}/adopt", s.ofTarget(toRead, s.serveAdopt))
	mux.HandleFunc("POST /p/{project}/{environment}/hold", s.ofTarget(toAct, s.serveHold))
	mux.HandleFunc("GET /p/{project}/{environment}/promote", s.ofTarget(toAct, s.servePromotion))
	mux.HandleFunc("POST /p/{project}/{environment}/promote", s.ofTarget(toAct, s.servePromote))
	mux.HandleFunc("POST /p/{project}/{environment}/approve", s.ofTarget(toAct, s.serveApprove))
	mux.HandleFunc("GET /p/{project}/{environment}/{act}", s.ofTarget(toAct, s.servePlan))
	mux.HandleFunc("POST /p/{project}/{environment}/{act}", s.ofTarget(toAct, s.serveAct))
	mux.HandleFunc("GET /p/{project}/{environment}/check", s.ofTarget(toRead, s.serveCheck))
	mux.HandleFunc("GET /p/{project}/{environment}/logs", s.ofPast(toFollow, s.serveLogs))
	mux.HandleFunc("GET /compare/{project}", s.serveCompare)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage) })
	return mux
}

// AssetPath is where the style sheet and the script are.
const AssetPath = "/assets/"
