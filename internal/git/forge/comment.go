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

// Comment makes a text the only comment of its kind on a pull request: the one that begins with the same mark
// is edited, where it differs. The mark is not shown.
func (f Forge) Comment(ctx context.Context, repository string, pull int, mark, text string) error {
	at, err := f.project(repository)
	if err != nil {
		return err
	}
	mark = "<!-- " + mark + " -->\n"
	if letters := []rune(text); len(letters) > maxComment {
		text = string(letters[:maxComment]) + "\n\n…\n\nThe rest does not fit into a comment.\n"
	}
	of, edits, method := at+"/issues/"+strconv.Itoa(pull)+"/comments", at+"/issues/comments/", http.MethodPatch
	if f.Kind == GitLab {
		of = at + "/merge_requests/" + strconv.Itoa(pull) + "/notes"
		edits, method = of+"/", http.MethodPut
	}
	var all []comment
	list := call{doing: "list comments", method: http.MethodGet, at: of}
	if f.Kind == Gitea { // it has no pages of comments
		err = f.do(ctx, list, &all)
	} else {
		all, err = pages[comment](ctx, f, list, "")
	}
	if err != nil {
		return err
	}
	body := map[string]any{"body": mark + text}
	for _, c := range all {
		rest, is := strings.CutPrefix(strings.ReplaceAll(c.Body, "\r\n", "\n"), mark)
		switch {
		case !is:
			continue
		case strings.TrimSpace(rest) == strings.TrimSpace(text): // forges strip space at the end
			return nil
		}
		return f.do(ctx, call{
			doing: "edit a comment", method: method, at: edits + strconv.Itoa(c.ID), body: body,
		}, new(comment))
	}
	return f.do(ctx, call{doing: "comment", method: http.MethodPost, at: of, body: body}, new(comment))
}
