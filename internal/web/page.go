package web

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/words"
)

// errNoPage says that an address names no page.
var errNoPage = errors.New("this page does not exist")

// pages are the templates, by name.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	all := pages{}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		base := path.Base(name)
		if base == "layout.html" || base == "parts.html" {
			continue
		}
		t, err := template.New(base).Funcs(functions).ParseFS(files, "templates/layout.html",
			"templates/parts.html", name)
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(base, ".html")] = t
	}
	return all, nil
}

// view is what the layout shows around a page.
type view struct {
	Title string
	// Project and Environment are those of the page; empty on the board.
	Project, Environment string
	// Environments are the names of those of the project that the person may see, in its order.
	Environments []string
	// Tab is the page of an environment: "", "history", "plan", "logs".
	Tab  string
	Page any
	// Promotes: there is a page that promotes to the environment, and Checks: one with the findings of check.
	Promotes, Checks bool
	// May are the rights of the person in the environment.
	May Rights
	// Person is who is signed in, if anyone. Login is where to sign in; empty: nowhere.
	Person, Login string

	source project.Source
}

// Topic is what the page is about: see hub.tell.
func (v view) Topic() string {
	if v.Environment == "" {
		return v.Project
	}
	return v.Project + "/" + v.Environment
}

// viewOf begins the view of a page about an environment.
func viewOf(src project.Source, environment, tab string, page any) view {
	v := view{Title: environment, Project: src.Project.Name, Environment: environment, Tab: tab, Page: page,
		source: src}
	if tab != "" {
		v.Title = tab + " of " + environment
	}
	return v
}

// show answers with a page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.May, v.Login, v.Person = rightsOf(r.Context()), s.options.Login, PersonOf(r.Context()).String()
	v.Promotes, v.Checks = s.options.Promotes != nil, s.options.Findings != nil
	src, _ := s.visible(r.Context(), v.source)
	for _, e := range src.Project.Environments {
		v.Environments = append(v.Environments, e.Name)
	}
	var b bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser may have gone
}

// fault is what the page of an error shows.
type fault struct{ Text, Hint string }

func (s *Site) fault(err error) *fault {
	return &fault{words.Clean(err.Error()), s.options.Hint(err)}
}

// fail answers with the error, and what to do about it.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	unknown := (*project.UnknownEnvironmentError)(nil)
	if errors.Is(err, errNoPage) || errors.Is(err, release.ErrNone) || errors.As(err, &unknown) {
		status = http.StatusNotFound
	} else if errors.As(err, new(*DeniedError)) {
		status = http.StatusForbidden
	}
	s.show(w, r, status, "error", view{Title: "error", Page: s.fault(err)})
}

// functions are what the templates call.
var functions = template.FuncMap{
	"age": words.Age, "brief": words.Brief, "short": git.Short, "count": words.Count, "at": at,
	"digest": shortDigest, "rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"manager": managerOf, "link": linkTo,
	"from": func(f any) string { return sides(f)[0] }, "to": func(f any) string { return sides(f)[1] },
	"mark": func(a plan.Action) string { return marks[a] }, "object": objectPath, "lost": deploy.LostText,
	"notRun": deploy.NotRunText, "lostField": plan.LostText, "places": placesOf, "notice": noticeOf,
	"levels": func() []string { return levels }, "outcome": outcome,
	"clock":  func(t time.Time) string { return t.Local().Format("15:04:05.000") },
	"tail":   func(name string) string { return name[strings.LastIndex(name, "-")+1:] },
	"reason": reasonOf, "linked": linked, "marked": marked,
	"gap": func(p boardProject, c column) inProject { return inProject{p, c} },
	"add": func(a, b int) int { return a + b },
}

// at is the path of a page: its elements may have any characters.
func at(elements ...any) string {
	var b strings.Builder
	for _, e := range elements {
		b.WriteString("/" + url.PathEscape(fmt.Sprint(e)))
	}
	return b.String()
}

// shortDigest prints the twelve first digits.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

// managerOf names who holds a field.
func managerOf(h plan.Holder) string {
	if h.Subresource != "" {
		return h.Manager + " (" + h.Subresource + ")"
	}
	return h.Manager
}

// reasonOf is the reason of a change without the object, which stands before it.
func reasonOf(c plan.Change) string { return strings.TrimPrefix(c.Reason, c.Ref.String()+": ") }

// marks are the signs of the actions of a plan.
var marks = map[plan.Action]string{plan.Create: "+", plan.Update: "~", plan.Delete: "-", plan.Replace: "±",
	plan.Run: "»", plan.Blocked: "!", plan.Keep: "=", plan.Skip: "·"}

// sides are both values of a field, as the CLI prints them.
func sides(field any) [2]string {
	var path, writtenA, writtenB string
	var a, b any
	switch f := field.(type) {
	case plan.Field:
		path, a, b = f.Path, f.Before, f.After
	case *deploy.DriftedField:
		path, a, b = f.Path, f.Recorded, f.Live
	case contract.Difference:
		path, a, b, writtenA, writtenB = f.Field, f.A, f.B, f.WrittenA, f.WrittenB
	}
	from, to := words.Values(words.Field(path, a, writtenA), words.Field(path, b, writtenB))
	return [2]string{from, to}
}

// objectPath is the query that names an object: see refOf.
func objectPath(r object.Ref) string {
	return "?" + url.Values{"group": {r.Group}, "kind": {r.Kind}, "namespace": {r.Namespace},
		"name": {r.Name}}.Encode()
}

// noticeOf is a message of one line.
func noticeOf(text string) string { return words.Brief(words.OneLine(text)) }

// piece is a part of a text: an address, something to type, or neither.
type piece struct {
	Text, Address string
	Code          bool
}

// linked divides a text into its addresses and what is between them.
func linked(text string) (all []piece) {
	for len(text) > 0 {
		at := address().FindStringIndex(text)
		if at == nil {
			at = []int{len(text), len(text)}
		}
		all = append(all, piece{Text: text[:at[0]]}, piece{Text: text[at[0]:at[1]], Address: text[at[0]:at[1]]})
		text = text[at[1]:]
	}
	return all
}

// address is one of the web, without what ends a sentence.
var address = lazyregexp.New(`https?://[^\s<>"]*[^\s<>".,:;)]`)

// marked divides a text into what is between backquotes, which is to be typed, and the rest.
func marked(text string) (all []piece) {
	for i, part := range strings.Split(text, "`") {
		all = append(all, piece{Text: part, Code: i%2 == 1})
	}
	return all
}

// placesOf joins the places of a cause.
func placesOf(all []finding.Place) string {
	var names []string
	for _, p := range all {
		names = append(names, p.String())
	}
	return cmp.Or(strings.Join(names, ", "), "unknown place")
}

// outcome is a word for the style of a release.
func outcome(r release.Release) string {
	switch r.Status {
	case release.Healthy:
		return "good"
	case release.Failed:
		return "bad"
	case release.Deleted:
		return "none"
	}
	return "busy"
}
