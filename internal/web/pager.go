package web

import (
	"net/http"
	"net/url"
	"strconv"
)

// perPage is how many rows a page has: with it, no page grows over 300 KB.
const perPage = 200

// pager says which rows of a list a page shows.
type pager struct {
	From, To, Count int
	Page, Pages     int
	query           url.Values
}

// pageOf reads the number of the page from a request.
func pageOf(r *http.Request, count int) pager {
	p := pager{Count: count, Pages: max(1, (count+perPage-1)/perPage), query: r.URL.Query()}
	n, _ := strconv.Atoi(p.query.Get("page"))
	p.Page = min(max(1, n), p.Pages)
	p.From = (p.Page - 1) * perPage
	p.To = min(p.From+perPage, count)
	return p
}

// At is the query of another page; empty where there is none.
func (p pager) At(page int) string {
	if page < 1 || page > p.Pages {
		return ""
	}
	q := url.Values{}
	for k, v := range p.query {
		q[k] = v
	}
	q.Set("page", strconv.Itoa(page))
	return "?" + q.Encode()
}

// Before and After are the queries of the neighbouring pages.
func (p pager) Before() string { return p.At(p.Page - 1) }
func (p pager) After() string  { return p.At(p.Page + 1) }
