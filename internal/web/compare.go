package web

import (
	"context"
	"net/http"
	"slices"

	"slipway/internal/check/contract"
	"slipway/internal/project"
)

// comparePage is how one environment differs from another, by cause.
type comparePage struct {
	place
	Names   []string
	A, B    string
	All     bool
	Fault   *fault
	Result  contract.Result
	Classes []compareClass
	More    int
}

type compareClass struct {
	Class  contract.Class
	Count  int
	Fault  bool
	Causes []contract.Cause
	// Kinds counts what differs, where the causes are not shown.
	Kinds string
}

// maxDifferences is how many differences the page shows.
const maxDifferences = 300

func (s *Site) serveCompare(w http.ResponseWriter, r *http.Request) {
	src, err := s.source(r.Context(), r.PathValue("project"))
	if err == nil {
		src, err = s.comparable(r.Context(), src)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := comparePage{place: place{Project: src.Project.Name, Forge: forgeOf(src.Remote), Commit: src.Commit},
		A: r.FormValue("a"), B: r.FormValue("b"), All: r.FormValue("all") != ""}
	if src.Path != "" {
		page.Path = src.Path + "/"
	}
	page.choose(src.Project)
	if !slices.Contains(page.Names, page.A) || !slices.Contains(page.Names, page.B) {
		s.fail(w, r, errNoPage)
		return
	}
	if page.Result, err = s.options.Compare(r.Context(), src, page.A, page.B); err != nil {
		page.Fault = s.fault(err)
	}
	shown := 0
	for _, c := range contract.Classes {
		class := compareClass{Class: c, Count: page.Result.Count(c)}
		class.Fault = c.IsFault()
		if class.Count == 0 {
			continue
		}
		if class.Fault || c == contract.Accepted || page.All {
			for _, cause := range page.Result.Causes(c) {
				if shown += len(cause.Differences); shown > maxDifferences {
					page.More += len(cause.Differences)
					continue
				}
				class.Causes = append(class.Causes, cause)
			}
		}
		if len(class.Causes) == 0 {
			class.Kinds = page.Result.Kinds(c)
		}
		page.Classes = append(page.Classes, class)
	}
	v := viewOf(src, "", "", page)
	v.Title = page.A + " and " + page.B
	s.show(w, r, http.StatusOK, "compare", v)
}

// comparable returns a source with the environments that the person behind a request may compare.
func (s *Site) comparable(ctx context.Context, src project.Source) (project.Source, error) {
	src, rights := s.visible(ctx, src)
	src.Project.Environments = slices.DeleteFunc(slices.Clone(src.Project.Environments),
		func(e project.Environment) bool { return !rights[e.Name].Values })
	if s.options.Compare == nil || len(src.Project.Environments) == 0 {
		return src, errNoPage
	}
	return src, nil
}

// choose fills in the environments that the request does not name: the last two.
func (p *comparePage) choose(of project.Project) {
	for _, e := range of.Environments {
		p.Names = append(p.Names, e.Name)
	}
	if p.B == "" {
		p.B = p.Names[len(p.Names)-1]
	}
	if p.A == "" {
		p.A = p.Names[max(0, len(p.Names)-2)]
	}
}
