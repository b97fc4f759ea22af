// Package forgetest is a small forge in memory. It takes requests only as the published APIs of GitHub,
// GitLab and Gitea describe them, and answers in their words.
package forgetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Pull is a pull request.
type Pull struct {
	Number                    int
	Title, Body, Branch, Into string
	// State is "open" or "closed".
	State string
	Fork  bool
	// Labels are their names.
	Labels []string `json:",omitempty"`
}

// Server is a forge of one kind: "github", "gitlab" or "gitea".
type Server struct {
	Kind, Token string
	// App makes the token of a GitHub; nil: it is Token.
	App *App
	// Commit returns the commit of a branch; nil: all are unknown.
	Commit func(repository, branch string) string

	mu    sync.Mutex
	pulls map[string][]*Pull // by repository
	wrong []string
	more  more
}

// Pulls returns the pull requests of a repository.
func (s *Server) Pulls(repository string) []Pull {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Pull
	for _, p := range s.pulls[repository] {
		all = append(all, *p)
	}
	return all
}

// Add adds a pull request, as a person opens it at the forge.
func (s *Server) Add(repository string, p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(repository, &p)
}

func (s *Server) add(repository string, p *Pull) {
	if s.pulls == nil {
		s.pulls = map[string][]*Pull{}
	}
	p.Number, p.State = len(s.pulls[repository])+1, "open"
	s.pulls[repository] = append(s.pulls[repository], p)
}

// Close closes a pull request.
func (s *Server) Close(repository string, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[repository][number-1].State = "closed"
}

// Wrong are the requests that the API does not describe.
func (s *Server) Wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wrong)
}

// answer is what a request gets: a status, and a value for JSON.
type answer struct {
	status int
	body   any
}

func wrong(format string, args ...any) answer {
	return answer{http.StatusBadRequest, map[string]string{"message": fmt.Sprintf(format, args...)}}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.serve(r)
	if a.status == http.StatusBadRequest && !strings.Contains(fmt.Sprint(a.body), cannotTransition) {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %v", r.Method, r.URL, a.body))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

func (s *Server) serve(r *http.Request) answer {
	if a := s.App; a != nil && r.Method == http.MethodPost &&
		r.URL.Path == "/app/installations/"+a.Installation+"/access_tokens" {
		return s.serveApp(r)
	}
	if a := s.headers(r); a.status != 0 {
		return a
	}
	prefix, noun := "/repos/", "pulls"
	if s.Kind == "gitlab" {
		prefix, noun = "/projects/", "merge_requests"
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	if !ok {
		return wrong("want %s…", prefix)
	}
	parts := strings.Split(rest, "/")
	repository := parts[0]
	if s.Kind == "gitlab" { // one part, which is escaped
		repository, _ = url.PathUnescape(parts[0])
		parts = parts[1:]
	} else if len(parts) > 2 {
		repository, parts = parts[0]+"/"+parts[1], parts[2:]
	}
	if a := s.serveMore(repository, parts, r); a.status != 0 {
		return a
	}
	if len(parts) == 0 || parts[0] != noun || len(parts) > 2 {
		return answer{http.StatusNotFound, map[string]string{"message": "404 Not Found"}}
	}
	switch {
	case len(parts) == 1 && r.Method == http.MethodPost:
		return s.open(repository, r)
	case len(parts) == 1 && r.Method == http.MethodGet:
		return s.list(repository, r)
	case len(parts) == 2:
		number, _ := strconv.Atoi(parts[1])
		return s.edit(repository, number, r)
	}
	return wrong("no such method")
}

func (s *Server) headers(r *http.Request) answer {
	want := map[string]string{"Authorization": "token " + s.Token}
	switch s.Kind {
	case "github":
		want = map[string]string{
			"Authorization": "Bearer " + s.Token, "Accept": "application/vnd.github+json",
			"X-GitHub-Api-Version": "2022-11-28",
		}
	case "gitlab":
		want = map[string]string{"PRIVATE-TOKEN": s.Token}
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value && strings.Contains(value, s.Token) {
			return answer{http.StatusUnauthorized, map[string]string{"message": "401 Unauthorized"}}
		} else if got != value {
			return wrong("%s: %q", name, got)
		}
	}
	if r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" {
		return wrong("Content-Type: %q", r.Header.Get("Content-Type"))
	}
	return answer{}
}

// names are the kind's own, of the title, the body, the branch and where it goes.
func (s *Server) names() (title, body, branch, into string) {
	if s.Kind == "gitlab" {
		return "title", "description", "source_branch", "target_branch"
	}
	return "title", "body", "head", "base"
}

// fields reads the body, which has only some names.
func fields(r *http.Request, names ...string) (map[string]string, answer) {
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, wrong("%v", err)
	}
	for name := range body {
		if !slices.Contains(names, name) {
			return nil, wrong("unknown field %s", name)
		}
	}
	return body, answer{}
}

func (s *Server) open(repository string, r *http.Request) answer {
	title, body, branch, into := s.names()
	f, a := fields(r, title, body, branch, into)
	if a.status != 0 {
		return a
	}
	if f[title] == "" || f[branch] == "" || f[into] == "" {
		return wrong("a field is missing: %v", slices.Sorted(maps.Keys(f)))
	}
	p := &Pull{Title: f[title], Body: f[body], Branch: f[branch], Into: f[into]}
	for _, other := range s.pulls[repository] {
		if other.State != "open" || other.Branch != p.Branch || other.Into != p.Into || other.Fork {
			continue
		}
		switch s.Kind {
		case "github":
			return answer{http.StatusUnprocessableEntity, map[string]any{
				"message": "Validation Failed",
				"errors": []map[string]string{{
					"message": "A pull request already exists for " + p.Branch + ".",
				}},
			}}
		case "gitlab":
			return answer{http.StatusConflict, map[string]any{"message": []string{
				"Another open merge request already exists for this source branch: !1"}}}
		}
		return answer{http.StatusConflict, map[string]string{
			"message": "pull request already exists for these targets"}}
	}
	s.add(repository, p)
	return answer{http.StatusCreated, s.said(repository, p)}
}

// said describes a pull request as the kind does.
func (s *Server) said(repository string, p *Pull) map[string]any {
	page := fmt.Sprintf("https://forge.example/%s/pull/%d", repository, p.Number)
	commit, from := "", 1
	if s.Commit != nil {
		commit = s.Commit(repository, p.Branch)
	}
	if p.Fork {
		from = 2
	}
	labels := []any{}
	for _, l := range p.Labels {
		if s.Kind == "gitlab" {
			labels = append(labels, l)
		} else {
			labels = append(labels, map[string]any{"id": 1, "name": l, "color": "ededed"})
		}
	}
	if s.Kind == "gitlab" {
		return map[string]any{
			"labels": labels,
			"id":     1000 + p.Number, "iid": p.Number, "title": p.Title, "description": p.Body, "web_url": page,
			"source_branch": p.Branch, "target_branch": p.Into, "sha": commit, "source_project_id": from,
			"target_project_id": 1,
		}
	}
	return map[string]any{
		"labels": labels,
		"id":     1000 + p.Number, "number": p.Number, "title": p.Title, "body": p.Body, "html_url": page,
		"head": map[string]any{"ref": p.Branch, "sha": commit, "repo": map[string]any{"id": from}},
		"base": map[string]any{"ref": p.Into, "repo": map[string]any{"id": 1}},
	}
}

func (s *Server) list(repository string, r *http.Request) answer {
	query := r.URL.Query()
	state, into, size := "open", "base", "per_page"
	known := []string{"state", "base", "head", "per_page", "page"}
	switch s.Kind {
	case "gitlab":
		state, into = "opened", "target_branch"
		known = []string{"state", "target_branch", "source_branch", "per_page", "page"}
	case "gitea":
		known, size = []string{"state", "limit", "page", "base_branch"}, "limit"
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return wrong("unknown parameter %s", name)
		}
	}
	if query.Get("state") != state {
		return wrong("state %q", query.Get("state"))
	}
	limit, _ := strconv.Atoi(query.Get(size))
	page, _ := strconv.Atoi(query.Get("page"))
	if limit < 1 || limit > 100 || page < 1 {
		return wrong("page %d of %d", page, limit)
	}
	all := []map[string]any{}
	for _, p := range s.pulls[repository] {
		if p.State == "open" && (query.Get(into) == "" || query.Get(into) == p.Into) {
			all = append(all, s.said(repository, p))
		}
	}
	first := min((page-1)*limit, len(all))
	return answer{http.StatusOK, all[first:min(first+limit, len(all))]}
}

func (s *Server) edit(repository string, number int, r *http.Request) answer {
	method := http.MethodPatch
	if s.Kind == "gitlab" {
		method = http.MethodPut
	}
	if r.Method != method {
		return wrong("want %s", method)
	}
	if number < 1 || number > len(s.pulls[repository]) {
		return answer{http.StatusNotFound, map[string]string{"message": "404 Not Found"}}
	}
	title, body, _, _ := s.names()
	f, a := fields(r, title, body)
	if a.status != 0 {
		return a
	}
	p := s.pulls[repository][number-1]
	p.Title, p.Body = f[title], f[body]
	return answer{http.StatusOK, s.said(repository, p)}
}
