// Package docs holds the documents of this version.
package docs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.md cli/*.md explanation/*.md howto/*.md
var pages embed.FS

// Page is one document.
type Page struct {
	Name  string // its path in docs, without .md: "howto/helm"
	Title string
	Text  string // Markdown
}

// Pages returns all pages, sorted by name.
func Pages() ([]Page, error) {
	var all []Page
	err := fs.WalkDir(pages, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := pages.ReadFile(name)
		all = append(all, Page{strings.TrimSuffix(name, ".md"), title(string(text)), string(text)})
		return err
	})
	return all, err
}

// title is the first heading.
func title(text string) string {
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			return strings.TrimSpace(heading)
		}
	}
	return ""
}

// UnknownPageError says that no page has a name, or that several end with it.
type UnknownPageError struct {
	Name string
	Like []string // the names of pages that it may mean
}

func (e *UnknownPageError) Error() string {
	if len(e.Like) > 0 {
		return fmt.Sprintf("page %q: did you mean %s?", e.Name, strings.Join(e.Like, ", "))
	}
	return fmt.Sprintf("page %q: not among the pages of this version", e.Name)
}

// Find returns the page with a name, or the only one whose last part it is. It fails with an
// *UnknownPageError.
func Find(name string) (Page, error) {
	all, err := Pages()
	if err != nil {
		return Page{}, err
	}
	name = strings.TrimSuffix(name, ".md")
	var like []Page
	var parts []string
	for _, p := range all {
		switch {
		case p.Name == name:
			return p, nil
		case path.Base(p.Name) == name:
			like = append(like, p)
		case strings.Contains(p.Name, name) && name != "":
			parts = append(parts, p.Name)
		}
	}
	if len(like) == 1 {
		return like[0], nil
	}
	for _, p := range like {
		parts = append(parts, p.Name)
	}
	slices.Sort(parts)
	return Page{}, &UnknownPageError{name, parts}
}
