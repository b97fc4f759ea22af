package ci

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
)

// maxSummary is the size up to which GitHub shows the summary of a step; it shows nothing of a larger one.
const maxSummary = 1 << 20

var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// foldGitHub also stops workflow commands until the end: the log of a container must not set an output.
func foldGitHub(w io.Writer, title string) (end func()) {
	if title != "" {
		fmt.Fprintf(w, "::group::%s\n", githubText.Replace(title))
	}
	token := rand.Text()
	fmt.Fprintf(w, "::stop-commands::%s\n", token)
	return func() {
		fmt.Fprintf(w, "::%s::\n", token)
		if title != "" {
			fmt.Fprintln(w, "::endgroup::")
		}
	}
}

func annotateGitHub(w io.Writer, dir string, notes []Note) {
	for _, n := range notes {
		properties := "title=" + githubProperty.Replace(n.Title)
		if n.File != "" {
			properties += ",file=" + githubProperty.Replace(path.Join(dir, n.File))
		}
		if n.Line > 0 {
			properties += fmt.Sprintf(",line=%d", n.Line)
		}
		if n.Column > 0 {
			properties += fmt.Sprintf(",col=%d", n.Column)
		}
		fmt.Fprintf(w, "::%s %s::%s\n", n.Severity, properties, githubText.Replace(n.Text))
	}
}

func setGitHub(env Env, values Values) error { return WriteValues(env("GITHUB_OUTPUT"), values) }

// WriteValues adds values to a file in the form of GITHUB_OUTPUT and GITHUB_ENV. It does nothing without a
// file.
func WriteValues(file string, values Values) error {
	if file == "" {
		return nil
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := values[name]
		if strings.ContainsAny(text, "\r\n") {
			// The delimiter cannot be guessed, so that no value can end early and set another one.
			end := "end_" + rand.Text()
			fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", name, end, strings.TrimRight(text, "\n"), end)
		} else {
			fmt.Fprintf(&b, "%s=%s\n", name, text)
		}
	}
	return appendFile(file, b.String())
}

var githubWorkflow = lazyregexp.New(`(\.(?:github|gitea|forgejo)/workflows/[^@]+)@`)

// WorkflowFile is the file of the workflow that runs, relative to the root of the repository; empty where the
// platform does not say it.
func WorkflowFile(env Env) string {
	if m := githubWorkflow().FindStringSubmatch(env("GITHUB_WORKFLOW_REF")); m != nil {
		return m[1]
	}
	return ""
}

func githubFile(p Project) string {
	if p.Directory != "" {
		return ".github/workflows/slipway-" + p.Name + ".yml"
	}
	return ".github/workflows/slipway.yml"
}
