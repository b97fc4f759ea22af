package forge

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// maxComment is how many characters of a comment every forge takes.
const maxComment = 60_000

// comment is one as the forges describe it.
type comment struct {
	ID   int    `json:"id"`
	Body string `json:"body"`
}

// comments are those of a pull request, with the address where they are made, and where one is edited.
type comments struct {
	all      []comment
	at, edit string
}

func (f Forge) comments(ctx context.Context, repository string, pull int) (c comments, err error) {
	at, err := f.project(repository)
	if err != nil {
		return c, err
	}
	c.at, c.edit = at+"/issues/"+strconv.Itoa(pull)+"/comments", at+"/issues/comments/"
	if f.Kind == GitLab {
		c.at = at + "/merge_requests/" + strconv.Itoa(pull) + "/notes"
		c.edit = c.at + "/"
	}
	list := call{doing: "list comments", method: http.MethodGet, at: c.at}
	if f.Kind == Gitea { // it has no pages of comments
		err = f.do(ctx, list, &c.all)
	} else {
		c.all, err = pages[comment](ctx, f, list, "")
	}
	return c, err
}

// marked returns the comment that begins with a mark, and its text without that.
func (c comments) marked(mark string) (id int, text string, found bool) {
	for _, is := range c.all {
		text, found := strings.CutPrefix(strings.ReplaceAll(is.Body, "\r\n", "\n"), mark)
		if found {
			return is.ID, text, true
		}
	}
	return 0, "", false
}

// line is a mark as the first line of a comment, which is not shown.
func line(mark string) string { return "<!-- " + mark + " -->\n" }

// Commented returns the text of the comment with a mark; empty: there is none.
func (f Forge) Commented(ctx context.Context, repository string, pull int, mark string) (string, error) {
	c, err := f.comments(ctx, repository, pull)
	_, text, _ := c.marked(line(mark))
	return text, err
}

// Comment makes a text the only comment of its kind on a pull request: the one that begins with the same mark
// is edited, where it differs. The mark is not shown.
func (f Forge) Comment(ctx context.Context, repository string, pull int, mark, text string) error {
	if letters := []rune(text); len(letters) > maxComment {
		text = string(letters[:maxComment]) + "\n\n…\n\nThe rest does not fit into a comment.\n"
	}
	c, err := f.comments(ctx, repository, pull)
	if err != nil {
		return err
	}
	body := map[string]any{"body": line(mark) + text}
	id, was, found := c.marked(line(mark))
	switch {
	case !found:
		return f.do(ctx, call{doing: "comment", method: http.MethodPost, at: c.at, body: body}, new(comment))
	case strings.TrimSpace(was) == strings.TrimSpace(text): // forges strip space at the end
		return nil
	}
	method := http.MethodPatch
	if f.Kind == GitLab {
		method = http.MethodPut
	}
	return f.do(ctx, call{
		doing: "edit a comment", method: method, at: c.edit + strconv.Itoa(id), body: body,
	}, new(comment))
}
