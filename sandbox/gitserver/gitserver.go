// Package gitserver is the sandbox's Git server: smart HTTP by git's own http-backend, over bare
// repositories in a folder that are made at the first push. It runs git, and decides only who may
// use which repository.
package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"slipway/sandbox/access"
)

// ErrNoGit: git, or its http-backend, is not installed.
var ErrNoGit = errors.New("git with http-backend is not installed: the Git server answers 503 until it is")

// Server is an http.Handler over the repositories in a folder.
type Server struct {
	dir     string
	log     io.Writer
	backend string
	err     error
	making  sync.Mutex
}

// New serves the repositories under dir. The error says why the server will only answer 503; the
// server can be used in any case.
func New(ctx context.Context, dir string, log io.Writer) (*Server, error) {
	s := &Server{dir: dir, log: log}
	s.backend, s.err = findBackend(ctx)
	if s.err == nil {
		s.err = os.MkdirAll(dir, 0o700)
	}
	return s, s.err
}

func findBackend(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("%w (%v)", ErrNoGit, err)
	}
	p, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"))
	if err != nil {
		return "", fmt.Errorf("%w (%v)", ErrNoGit, err)
	}
	return p, nil
}

// A repository's name: path elements that start with a letter or digit, so no "..", no hidden files.
const name = `[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*`

var (
	gitPath = regexp.MustCompile(`^/(` + name +
		`)/(info/refs|HEAD|objects/.+|git-upload-pack|git-receive-pack)$`)
	createPath = regexp.MustCompile(`^/create/(` + name + `)$`)
)

// ServeHTTP answers git, and POST /create/NAME.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	repo, rest, ok := parse(r)
	switch {
	case s.err != nil:
		http.Error(w, s.err.Error(), http.StatusServiceUnavailable)
	case !ok:
		http.Error(w, "no such repository path: use /NAME.git, or POST /create/NAME", http.StatusNotFound)
	case !access.Rule{}.Allowed(r, repo):
		access.Challenge(w)
		http.Error(w, "authentication required for "+repo, http.StatusUnauthorized)
	case rest == "":
		s.create(w, r, repo)
	default:
		s.serve(w, r, repo, rest)
	}
}

// parse gives the repository and what is asked of it; an empty rest asks to create it.
func parse(r *http.Request) (repo, rest string, ok bool) {
	m := gitPath.FindStringSubmatch(r.URL.Path)
	if m == nil && r.Method == http.MethodPost {
		m = append(createPath.FindStringSubmatch(r.URL.Path), "")
	}
	if len(m) < 3 {
		return "", "", false
	}
	repo, rest = strings.TrimSuffix(m[1], ".git"), m[2]
	// A repository inside another one, or a way out of one.
	if strings.Contains(repo+"/", ".git/") || strings.Contains(rest, "..") {
		return "", "", false
	}
	return repo, rest, true
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, repo string) {
	made, err := s.ensure(r.Context(), repo)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case made:
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, repo, rest string) {
	push := rest == "git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack"
	if push {
		if _, err := s.ensure(r.Context(), repo); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	user, _, _ := r.BasicAuth()
	r = r.Clone(r.Context())
	r.URL.Path = "/" + repo + ".git/" + rest
	// net/http/cgi refuses chunked bodies, which git sends for large pushes. Without a length,
	// http-backend reads to the end of its input.
	r.TransferEncoding = nil
	(&cgi.Handler{
		Path:   s.backend,
		Env:    append(environment(), "GIT_PROJECT_ROOT="+s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+user),
		Stderr: s.log,
	}).ServeHTTP(w, r)
	if rest == "git-receive-pack" {
		s.pointHead(context.WithoutCancel(r.Context()), repo)
	}
}

// environment keeps the person's own git configuration out of the server.
func environment() []string {
	return []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + os.DevNull}
}

// settings are what hosted Git servers allow: pushes, fetching a commit by its hash, partial clones.
var settings = []string{"http.receivepack", "uploadpack.allowReachableSHA1InWant", "uploadpack.allowFilter"}

// ensure makes the repository if it is not there.
func (s *Server) ensure(ctx context.Context, repo string) (made bool, err error) {
	s.making.Lock()
	defer s.making.Unlock()
	path := s.path(repo)
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	// Made beside and renamed: a process killed half-way leaves no half repository.
	tmp, err := os.MkdirTemp(s.dir, ".new-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	if _, err := s.git(ctx, tmp, "init", "--quiet", "--bare", "--initial-branch=main"); err != nil {
		return false, err
	}
	for _, key := range settings {
		if _, err := s.git(ctx, tmp, "config", key, "true"); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	return true, os.Rename(tmp, path)
}

// pointHead makes the first branch that is pushed the default one, as hosted servers do; else a
// clone of a repository whose only branch is "master" would come out empty.
func (s *Server) pointHead(ctx context.Context, repo string) {
	if _, err := s.git(ctx, s.path(repo), "rev-parse", "--verify", "--quiet", "HEAD"); err == nil {
		return
	}
	branch, err := s.git(ctx, s.path(repo), "for-each-ref", "--count=1", "--format=%(refname)", "refs/heads")
	if err == nil && branch != "" {
		_, err = s.git(ctx, s.path(repo), "symbolic-ref", "HEAD", branch)
	}
	if err != nil {
		fmt.Fprintf(s.log, "gitserver: %s: default branch: %v\n", repo, err)
	}
}

func (s *Server) path(repo string) string {
	return filepath.Join(s.dir, filepath.FromSlash(repo)+".git")
}

func (s *Server) git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(environment(), "GIT_DIR="+dir)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
