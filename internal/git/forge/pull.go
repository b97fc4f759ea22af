package forge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Request is a pull request of a branch into another one.
type Request struct {
	Branch, Into, Title, Body string
	// Draft: it is not to be merged as it is.
	Draft bool
}

// title says in the words of GitLab and Gitea that a request is a draft.
func (r Request) title(kind string) string {
	if prefix := map[string]string{GitLab: "Draft: ", Gitea: "WIP: "}[kind]; r.Draft {
		return prefix + r.Title
	}
	return r.Title
}

// ErrExists says that a pull request of the branch is open already.
var ErrExists = errors.New("a pull request of this branch is open already")

// Pull is a pull request that is open.
type Pull struct {
	Number int
	// Page is its address for people.
	Page string
	// Branch is what it proposes, of Commit; Into is where to.
	Branch, Commit, Into string
	// Fork: the branch is of another repository.
	Fork   bool
	Labels []string
}

// answered is a pull request as the forges describe it.
type answered struct {
	Number int    `json:"number"`
	HTML   string `json:"html_url"`
	Head   end    `json:"head"`
	Base   end    `json:"base"`
	Labels labels `json:"labels"`

	// GitLab's names.
	IID    int    `json:"iid"`
	Web    string `json:"web_url"`
	SHA    string `json:"sha"`
	Source string `json:"source_branch"`
	Target string `json:"target_branch"`
	From   int    `json:"source_project_id"`
	To     int    `json:"target_project_id"`
}

// labels are names, which GitLab lists alone and the others as objects.
type labels []string

func (l *labels) UnmarshalJSON(text []byte) error {
	var objects []struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(text, &objects) != nil {
		return json.Unmarshal(text, (*[]string)(l))
	}
	for _, o := range objects {
		*l = append(*l, o.Name)
	}
	return nil
}

// end is one end of a pull request.
type end struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		ID int `json:"id"`
	} `json:"repo"`
}

func (a answered) pull() Pull {
	p := Pull{
		Number: cmp.Or(a.Number, a.IID), Page: cmp.Or(a.HTML, a.Web), Branch: cmp.Or(a.Head.Ref, a.Source),
		Commit: cmp.Or(a.Head.SHA, a.SHA), Into: cmp.Or(a.Base.Ref, a.Target), Fork: a.From != a.To,
		Labels: a.Labels,
	}
	if a.IID == 0 { // a fork that was deleted has no repository
		p.Fork = a.Head.Repo == nil || a.Base.Repo == nil || a.Head.Repo.ID != a.Base.Repo.ID
	}
	return p
}

// pulls is the address of the pull requests, and the names of a request's fields.
func (f Forge) pulls(repository string) (at string, fields func(Request) map[string]any, err error) {
	at, err = f.project(repository)
	if f.Kind == GitLab {
		return at + "/merge_requests", func(r Request) map[string]any {
			return map[string]any{
				"title": r.title(GitLab), "description": r.Body, "source_branch": r.Branch, "target_branch": r.Into,
			}
		}, err
	}
	return at + "/pulls", func(r Request) map[string]any {
		return map[string]any{"title": r.title(f.Kind), "body": r.Body, "head": r.Branch, "base": r.Into}
	}, err
}

// Open opens a pull request, and returns its page. It fails with ErrExists where one is open already.
func (f Forge) Open(ctx context.Context, repository string, r Request) (page string, err error) {
	at, fields, err := f.pulls(repository)
	if err != nil {
		return "", err
	}
	body := fields(r)
	if r.Draft && f.Kind == GitHub {
		body["draft"] = true
	}
	var opened answered
	open := call{doing: "open a pull request", method: http.MethodPost, at: at, body: body}
	err = f.do(ctx, open, &opened)
	var refused *AnswerError
	if errors.As(err, &refused) && strings.Contains(refused.Text, "Draft pull requests are not supported") {
		delete(body, "draft") // not every plan of GitHub has drafts for private repositories
		err = f.do(ctx, open, &opened)
	}
	if errors.As(err, &refused) && (strings.HasPrefix(refused.Status, "409") ||
		strings.HasPrefix(refused.Status, "422") && strings.Contains(refused.Text, "already exists")) {
		return "", ErrExists
	}
	return opened.pull().Page, err
}

// Propose opens a pull request, or gives the one that is open of the same branches a new title and body.
func (f Forge) Propose(
	ctx context.Context, repository string, r Request,
) (page string, opened bool, err error) {
	page, err = f.Open(ctx, repository, r)
	if !errors.Is(err, ErrExists) {
		return page, err == nil, err
	}
	all, err := f.Pulls(ctx, repository, r.Into)
	if err != nil {
		return "", false, err
	}
	for _, p := range all {
		if p.Branch == r.Branch && p.Into == r.Into && !p.Fork {
			return p.Page, false, f.edit(ctx, repository, p.Number, r)
		}
	}
	return "", false, ErrExists // it was closed meanwhile
}

// edit replaces the title and the body of a pull request.
func (f Forge) edit(ctx context.Context, repository string, number int, r Request) error {
	at, fields, err := f.pulls(repository)
	if err != nil {
		return err
	}
	method, body := http.MethodPatch, fields(r)
	for _, fixed := range []string{"head", "base", "source_branch", "target_branch"} {
		delete(body, fixed)
	}
	if f.Kind == GitLab {
		method = http.MethodPut
	}
	return f.do(ctx, call{
		doing: "edit a pull request", method: method, at: at + "/" + strconv.Itoa(number), body: body,
	}, new(answered))
}

const (
	perPage  = 50
	maxPages = 20
)

// Pulls returns the open pull requests into a branch.
func (f Forge) Pulls(ctx context.Context, repository, into string) ([]Pull, error) {
	at, _, err := f.pulls(repository)
	if err != nil {
		return nil, err
	}
	query := url.Values{"state": {"open"}, "base": {into}}
	switch f.Kind {
	case GitLab:
		query = url.Values{"state": {"opened"}, "target_branch": {into}}
	case Gitea: // only newer versions filter by the base
		query = url.Values{"state": {"open"}}
	}
	list, err := pages[answered](ctx, f, call{doing: "list pull requests", at: at, query: query}, "")
	var all []Pull
	for _, a := range list {
		if p := a.pull(); p.Into == into {
			all = append(all, p)
		}
	}
	return all, err
}

// pages reads all pages of a list, which is the answer itself or a field of it.
func pages[T any](ctx context.Context, f Forge, c call, field string) ([]T, error) {
	c.method = http.MethodGet
	query, size := maps.Clone(c.query), "per_page"
	if query == nil {
		query = url.Values{}
	}
	if f.Kind == Gitea {
		size = "limit"
	}
	query.Set(size, strconv.Itoa(perPage))
	c.query = query
	var all []T
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var some []T
		if field == "" {
			if err := f.do(ctx, c, &some); err != nil {
				return nil, err
			}
		} else {
			var answer map[string]json.RawMessage
			if err := f.do(ctx, c, &answer); err != nil {
				return nil, err
			}
			if err := json.Unmarshal(answer[field], &some); err != nil {
				return nil, fmt.Errorf("%s: read %s of the answer: %w", c.doing, field, err)
			}
		}
		all = append(all, some...)
		if len(some) < perPage {
			break
		}
	}
	return all, nil
}
