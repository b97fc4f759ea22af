// Command site makes a static web site of the documents: README.md, docs and the README of each example. It
// needs no network, runs no script at build time, and fails on a link that leads nowhere.
//
//	go run . -out ../bin/site [-source URL]
//
// It is a module of its own, because nothing of it is part of slipway.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

var (
	//go:embed page.html
	layout string
	//go:embed site.css
	style []byte
	//go:embed site.js
	script []byte
)

func main() {
	root := flag.String("root", "..", "the repository")
	out := flag.String("out", "../bin/site", "directory of the result")
	source := flag.String("source", "",
		"URL of the repository's files, for links that lead to a file and not to a page")
	flag.Parse()
	if err := run(*root, *out, *source); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

// sections are the parts of the navigation, with their pages in order; a pattern takes what is not named yet.
var sections = []struct {
	title string
	pages []string
}{
	{"Start", []string{"README.md", "docs/tutorial.md"}},
	{"How to", []string{"docs/howto/README.md", "docs/howto/kubectl.md", "docs/howto/helm.md",
		"docs/howto/helmfile.md", "docs/howto/skaffold.md", "docs/howto/tilt.md", "docs/howto/argocd.md",
		"docs/howto/flux.md", "docs/howto/takeover.md", "docs/beside.md", "docs/howto/github-actions.md",
		"docs/howto/gitlab.md", "docs/ci.md", "docs/howto/*.md", "docs/promotion.md", "docs/gitops.md",
		"docs/ui.md"}},
	{"Examples", []string{"examples/*/README.md"}},
	{"Reference", []string{"docs/cli/README.md", "docs/slipway.yaml.md", "docs/rules.md", "docs/failures.md",
		"docs/order.md", "docs/kinds.md", "docs/takeover.md"}},
	{"Commands", []string{"docs/cli/*.md"}},
	{"Explanation", []string{"docs/explanation/*.md", "docs/guarantees.md", "docs/architecture.md",
		"docs/faults.md",
		"docs/benchmarks.md", "docs/decisions.md"}},
	{"Project", []string{"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md"}},
}

// page is one document.
type page struct {
	File, Title, Section string
	text                 []byte
	anchors              map[string]bool
	headings             []link // of its second level
	body                 template.HTML
	words                string // without markup, for the search
}

// address is the path of the page in the site.
func (p *page) address() string { return addressOf(p.File) }

func addressOf(file string) string {
	if file == "README.md" {
		return "index.html"
	}
	if dir, ok := strings.CutSuffix(file, "/README.md"); ok {
		return dir + "/index.html"
	}
	return strings.TrimSuffix(file, ".md") + ".html"
}

func run(root, out, source string) error {
	pages, err := readPages(root)
	if err != nil {
		return err
	}
	s := site{root: root, source: source, pages: map[string]*page{}, assets: map[string]bool{}}
	for _, p := range pages {
		s.pages[p.File] = p
	}
	for _, p := range pages {
		s.render(p)
	}
	s.checkAnchors()
	if len(s.broken) > 0 {
		return fmt.Errorf("%d links lead nowhere:\n  %s", len(s.broken), strings.Join(s.broken, "\n  "))
	}
	return s.write(out, pages)
}

// readPages reads the pages in the order of the navigation.
func readPages(root string) ([]*page, error) {
	var pages []*page
	taken := map[string]bool{}
	for _, section := range sections {
		for _, pattern := range section.pages {
			files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				name, err := filepath.Rel(root, file)
				if err != nil {
					return nil, err
				}
				name = filepath.ToSlash(name)
				if taken[name] || isNamed(name) && strings.Contains(pattern, "*") {
					continue
				}
				taken[name] = true
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, err
				}
				pages = append(pages, &page{File: name, Title: titleOf(name, text), Section: section.title, text: text})
			}
		}
	}
	if len(pages) == 0 {
		return nil, errors.New("no pages found")
	}
	return pages, nil
}

// isNamed says that a section names a page, so that the pattern of an earlier one does not take it.
func isNamed(file string) bool {
	for _, section := range sections {
		if slices.Contains(section.pages, file) {
			return true
		}
	}
	return false
}

// titleOf is the first heading of a page.
func titleOf(file string, text []byte) string {
	for line := range bytes.Lines(text) {
		if title, ok := bytes.CutPrefix(line, []byte("# ")); ok {
			return strings.ReplaceAll(strings.TrimSpace(string(title)), "`", "")
		}
	}
	return file
}

// write writes the site. What was in the directory before is removed.
func (s *site) write(out string, pages []*page) error {
	t, err := template.New("page").Parse(layout)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	files := map[string][]byte{"site.css": style, "site.js": script}
	type entry struct {
		Title   string `json:"t"`
		Address string `json:"a"`
		Words   string `json:"w"`
		Late    bool   `json:"l,omitempty"` // a long list of changes or decisions: other pages come first
	}
	var index []entry
	for _, p := range pages {
		var b bytes.Buffer
		up := strings.Repeat("../", strings.Count(p.address(), "/"))
		if err := t.Execute(&b, map[string]any{
			"Page": p, "Body": p.body, "Up": up, "Sections": navigation(pages, p, up),
		}); err != nil {
			return err
		}
		files[p.address()] = b.Bytes()
		late := p.Section == "Project" || p.File == "docs/decisions.md" || p.File == "docs/benchmarks.md"
		index = append(index, entry{p.Title, p.address(), p.words, late})
	}
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	// A script, not JSON: a browser does not fetch files beside a page that was opened from a disk.
	files["search.js"] = []byte("const slipwayPages = " + string(list) + ";\n")
	for asset := range s.assets {
		if files[asset], err = os.ReadFile(filepath.Join(s.root, asset)); err != nil {
			return err
		}
	}
	for name, text := range files {
		at := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, text, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d pages\n", filepath.Join(out, "index.html"), len(pages))
	return nil
}

// group is a section of the navigation on one page.
type group struct {
	Title string
	Open  bool
	Links []link
}

type link struct {
	Title, Address string
	Current        bool
	Headings       []link // of the current page
}

func navigation(pages []*page, current *page, up string) []group {
	var groups []group
	for _, p := range pages {
		if len(groups) == 0 || groups[len(groups)-1].Title != p.Section {
			groups = append(groups, group{Title: p.Section})
		}
		g := &groups[len(groups)-1]
		g.Open = g.Open || p == current || p.Section == "Start" || p.Section == "How to"
		l := link{Title: p.Title, Address: up + p.address(), Current: p == current}
		if l.Current {
			l.Headings = p.headings
		}
		g.Links = append(g.Links, l)
	}
	return groups
}

// exists says that a path of the repository exists.
func exists(root, name string) bool {
	_, err := fs.Stat(os.DirFS(root), path.Clean(name))
	return err == nil
}
