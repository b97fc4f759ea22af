// Package web serves the pages that show the environments of a project, and lets people act on them. It
// reads and acts by the functions that the CLI calls, deploy's above all; it decides and computes nothing
// itself, and stores nothing.
package web

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/project"
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
	// Hint says what to do about an error, "" where nothing is known.
	Hint func(error) string
}

// Site serves the pages of some projects.
type Site struct {
	options  Options
	pages    pages
	targets  targets
	findings checked
}

// New prepares a site.
func New(o Options) (*Site, error) {
	p, err := parsePages()
	return &Site{options: o, pages: p}, err
}

// Handler serves the pages and their assets. It authorizes nobody: see Local.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	mux.Handle("GET "+assetPath, http.StripPrefix(assetPath, http.FileServerFS(assets)))
	mux.HandleFunc("GET /{$}", s.serveBoard)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoPage) })
	return mux
}

// assetPath is where the style sheet and the script are. No project is called "-".
const assetPath = "/-/assets/"
