package web

import (
	"net/http"
	"strings"

	"slipway/internal/check/origin"
	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/words"
)

// objectPage is one object as its release has it, field by field.
type objectPage struct {
	place
	Release release.Release
	Ref     object.Ref
	Origin  object.Origin
	Fields  []leaf
	Objects pager
	Logs    bool
	Why     bool // the page why exists
}

// leaf is a field that has no fields below it.
type leaf struct {
	Path  string
	Value string
}

func (s *Site) serveObject(w http.ResponseWriter, r *http.Request, t deploy.Target, past release.Past) error {
	o, found := past.Latest.Objects.Get(refOf(r))
	if !found {
		return errNoPage
	}
	page := objectPage{place: placeOf(t), Release: past.Latest, Ref: o.Ref(), Origin: o.Origin}
	page.Commit, page.Why = past.Latest.Commit, s.options.Why != nil
	_, _, page.Logs = o.PodSpec()
	var fields []leaf
	shown := object.Hide(object.Masked(o), object.SecretValues(past.Latest.Objects))
	object.Leaves(shown.Body, func(path string, v any) {
		fields = append(fields, leaf{path, words.Value(words.Field(path, v, ""), true)})
	})
	page.Objects = pageOf(r, len(fields))
	page.Fields = fields[page.Objects.From:page.Objects.To]
	v := viewOf(t.Source, t.Environment.Name, "", page)
	v.Title = o.Ref().String()
	s.show(w, r, http.StatusOK, "object", v)
	return nil
}

// refOf reads the object that a request names.
func refOf(r *http.Request) object.Ref {
	q := r.URL.Query()
	return object.Ref{Group: q.Get("group"), Kind: q.Get("kind"), Namespace: q.Get("namespace"),
		Name: q.Get("name")}
}

// whyPage is why a field has its value.
type whyPage struct {
	place
	Object, Field string
	Chain         origin.Chain
	Value         string
	Links         []whyLink
	Fault         *fault
}

type whyLink struct {
	origin.Link
	Says string
}

func (s *Site) serveWhy(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	if s.options.Why == nil {
		return errNoPage
	}
	page := whyPage{place: placeOf(t), Object: r.FormValue("object"),
		Field: strings.TrimSpace(r.FormValue("field"))}
	chain, err := s.options.Why(r.Context(), t.Source, t.Environment, origin.Question{
		Object: page.Object, Field: page.Field,
	})
	if err != nil {
		page.Fault = s.fault(err)
	} else {
		page.Chain = chain
		page.Value = words.Value(words.Field(chain.Field, chain.Value, chain.Written), true)
		for _, l := range chain.Links {
			says := words.Value(words.Field(chain.Field, l.Value, l.Written), true)
			if l.Condition {
				says = "whether it is there"
			}
			page.Links = append(page.Links, whyLink{l, says})
		}
	}
	v := viewOf(t.Source, t.Environment.Name, "", page)
	v.Title = "why " + page.Object
	s.show(w, r, http.StatusOK, "why", v)
	return nil
}
