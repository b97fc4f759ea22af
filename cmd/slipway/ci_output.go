package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/image/builder"
	"slipway/internal/lazyregexp"
	"slipway/internal/project"
	"slipway/internal/release"
)

// ciOutput is what a CI platform can be told beside the log. Markers go to standard error: standard
// output holds results and nothing else.
type ciOutput interface {
	// group folds what is printed until end is called, and keeps the platform from taking a line of it
	// for a command.
	group(title string) (end func())
	// annotate puts a note at a line of the source.
	annotate(notes ...ciNote)
	// summary adds to the page of the run.
	summary(markdown string) error
	// set gives values to later steps and jobs.
	set(values ...ciValue) error
}

type ciValue struct{ name, value string }

type ciNote struct {
	severity    finding.Severity
	at          finding.Place
	title, text string
}

// ciOf is the platform that this process runs on. It is no platform where nothing but CI is set.
func (a *app) ciOf(w io.Writer) ciOutput {
	switch {
	case os.Getenv("GITHUB_ACTIONS") == "true":
		return githubOutput{w, a.workspaceFolder}
	case os.Getenv("GITLAB_CI") == "true":
		return gitlabOutput{w: w}
	}
	return noOutput{}
}

// inCI says that nobody sits at the other end, whatever standard input looks like.
func inCI() bool {
	ci := os.Getenv("CI")
	return ci != "" && ci != "false" && ci != "0" || os.Getenv("GITHUB_ACTIONS") == "true" ||
		os.Getenv("GITLAB_CI") == "true"
}

type noOutput struct{}

func (noOutput) group(string) func()  { return func() {} }
func (noOutput) annotate(...ciNote)   {}
func (noOutput) summary(string) error { return nil }
func (noOutput) set(...ciValue) error { return nil }

type githubOutput struct {
	w io.Writer
	// folder is where the project lies in the workspace; nil: at its root.
	folder func() string
}

// workspaceFolder is what precedes the project's paths to make them the repository's.
func (a *app) workspaceFolder() string {
	p, err := project.Open(a.dir)
	if err != nil || os.Getenv("GITHUB_WORKSPACE") == "" {
		return ""
	}
	folder, err := below(os.Getenv("GITHUB_WORKSPACE"), p.Dir)
	if err != nil || strings.HasPrefix(folder, "..") {
		return ""
	}
	return folder
}

// group stops workflow commands within: the log of a container must not set an output. A title that is
// empty folds nothing.
func (o githubOutput) group(title string) func() {
	if title != "" {
		fmt.Fprintf(o.w, "::group::%s\n", githubText.Replace(title))
	}
	token := rand.Text()
	fmt.Fprintf(o.w, "::stop-commands::%s\n", token)
	return func() {
		fmt.Fprintf(o.w, "::%s::\n", token)
		if title != "" {
			fmt.Fprintln(o.w, "::endgroup::")
		}
	}
}

func (o githubOutput) annotate(notes ...ciNote) {
	folder := ""
	if o.folder != nil && len(notes) > 0 {
		folder = o.folder()
	}
	for _, n := range notes {
		properties := "title=" + githubProperty.Replace(n.title)
		if n.at.File != "" {
			properties += ",file=" + githubProperty.Replace(path.Join(folder, n.at.File))
		}
		if n.at.Line > 0 {
			properties += fmt.Sprintf(",line=%d", n.at.Line)
		}
		if n.at.Column > 0 {
			properties += fmt.Sprintf(",col=%d", n.at.Column)
		}
		fmt.Fprintf(o.w, "::%s %s::%s\n", n.severity, properties, githubText.Replace(n.text))
	}
}

// maxSummary is what GitHub takes of one step: more, and it shows nothing.
const maxSummary = 1 << 20

func (o githubOutput) summary(markdown string) error {
	file := os.Getenv("GITHUB_STEP_SUMMARY")
	if file == "" {
		return nil
	}
	there := 0
	if info, err := os.Stat(file); err == nil {
		there = int(info.Size())
	}
	return appendFile(file, shorten(markdown+"\n", maxSummary-there))
}

func (o githubOutput) set(values ...ciValue) error { return assign(os.Getenv("GITHUB_OUTPUT"), values) }

// assign writes values to one of the files that GitHub reads them from; where there is none, nowhere.
func assign(file string, values []ciValue) error {
	if file == "" {
		return nil
	}
	var b strings.Builder
	for _, v := range values {
		if strings.ContainsAny(v.value, "\r\n") {
			// Nobody can guess the delimiter, so no value can end early and set another one.
			end := "end_" + rand.Text()
			fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", v.name, end, strings.TrimRight(v.value, "\n"), end)
		} else {
			fmt.Fprintf(&b, "%s=%s\n", v.name, v.value)
		}
	}
	return appendFile(file, b.String())
}

// gitlabOutput has no summary, and no annotations outside of reports.
type gitlabOutput struct {
	noOutput
	w io.Writer
}

var notInSection = lazyregexp.New(`[^a-z0-9]+`)

func (o gitlabOutput) group(title string) func() {
	if title == "" {
		return func() {}
	}
	id := notInSection().ReplaceAllString(strings.ToLower(title), "_") + "_" + strings.ToLower(rand.Text()[:6])
	fmt.Fprintf(o.w, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", time.Now().Unix(),
		id, clean(title))
	return func() { fmt.Fprintf(o.w, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), id) }
}

var notInVariable = lazyregexp.New(`[^A-Z0-9]+`)

// set writes the dotenv file that SLIPWAY_DOTENV names, for artifacts:reports:dotenv. GitLab takes no
// value of several lines there, so those are left out.
func (o gitlabOutput) set(values ...ciValue) error {
	file := os.Getenv("SLIPWAY_DOTENV")
	if file == "" {
		return nil
	}
	var b strings.Builder
	for _, v := range values {
		if !strings.ContainsAny(v.value, "\r\n") {
			fmt.Fprintf(&b, "SLIPWAY_%s=%s\n", notInVariable().ReplaceAllString(strings.ToUpper(v.name), "_"), v.value)
		}
	}
	return appendFile(file, b.String())
}

func appendFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// shorten cuts a text at a line so that it fits, and says so.
func shorten(text string, most int) string {
	const cut = "\n… the rest is left out here: it is too long\n"
	switch {
	case len(text) <= most:
		return text
	case most < len(cut):
		return ""
	}
	text = text[:most-len(cut)]
	return text[:max(0, strings.LastIndexByte(text, '\n'))] + cut
}

// tell sums up what a verb did. That it cannot is no reason for the verb to fail.
func (a *app) tell(say func() (markdown string, values []ciValue)) {
	if a.ci == (noOutput{}) {
		return
	}
	markdown, values := say()
	if err := a.ci.summary(markdown); err != nil {
		a.warn("warning: write the summary of this job: %v", err)
	}
	if err := a.ci.set(values...); err != nil {
		a.warn("warning: set the outputs of this step: %v", err)
	}
}

// notesOf say why a verb failed, at the lines of the source that are known.
func notesOf(err error) []ciNote {
	var (
		failed *deploy.FailedError
		build  *builder.BuildError
		file   *project.FileError
		notes  []ciNote
	)
	n := ciNote{severity: finding.Error, title: "slipway"}
	if errors.As(err, &failed) {
		n.title = fmt.Sprintf("release %d of %s", failed.Release.Revision, failed.Environment)
		for _, e := range failed.Release.Evidence {
			n.at = finding.Place{File: e.Origin.File, Line: e.Origin.Line}
			n.text = cleanLines(append([]string{e.Ref.String() + ": " + e.Cause}, evidenceLines(e)...))
			notes = append(notes, n)
		}
		if notes != nil {
			return notes
		}
	}
	switch {
	case errors.As(err, &build):
		n.at = finding.Place{File: build.File, Line: build.Line}
	case errors.As(err, &file):
		n.at = finding.Place{File: file.File, Line: file.Line}
	}
	n.text = cleanLines(strings.Split(err.Error(), "\n"))
	return []ciNote{n}
}

func cleanLines(lines []string) string {
	for i, l := range lines {
		lines[i] = brief(l)
	}
	return strings.Join(lines, "\n")
}

var notInName = lazyregexp.New(`[^A-Za-z0-9_-]+`)

// imageValues are the outputs of build.
func imageValues(pins []image.Pin) []ciValue {
	all := map[string]string{}
	var values []ciValue
	for _, p := range pins {
		all[p.Name] = p.Reference()
		values = append(values, ciValue{"image-" + notInName().ReplaceAllString(p.Name, "-"), p.Reference()})
	}
	return append(values, ciValue{"images", compact(all)})
}

// releaseValues are the outputs of deploy.
func releaseValues(r release.Release) []ciValue {
	return []ciValue{
		{"release", fmt.Sprint(r.Revision)}, {"status", cmp.Or(string(r.Status), "none")}, {"commit", r.Commit},
		{"digest", r.Digest},
	}
}
