package ci

import (
	"errors"
	"io"
	"os"
	"strings"

	"slipway/internal/project"
)

// Output tells the platform more than the log does. Commands to the platform go to the writer, which is
// stderr: stdout holds results and nothing else. The zero value does nothing.
type Output struct {
	platform Platform
	w        io.Writer
	env      Env
	dir      func() string
}

// Note is a message at a line of the source.
type Note struct {
	Severity     string // error, warning or notice
	File         string
	Line, Column int
	Title, Text  string
}

// Values are outputs of a step by name.
type Values map[string]string

// Output returns the output of a platform. dir returns the project's directory; it is called when paths must
// be made relative to the checkout.
func (p Platform) Output(env Env, w io.Writer, dir func() string) Output {
	return Output{platform: p, w: w, env: env, dir: dir}
}

// Fold folds what is printed until end is called, and keeps the platform from taking a line of it for a
// command. An empty title does the second only.
func (o Output) Fold(title string) (end func()) {
	if o.platform.fold == nil {
		return func() {}
	}
	return o.platform.fold(o.w, title)
}

// Annotate puts notes at lines of the source.
func (o Output) Annotate(notes ...Note) {
	if o.platform.annotate != nil && len(notes) > 0 {
		o.platform.annotate(o.w, o.subdirectory(), notes)
	}
}

// subdirectory is where the project is in the checkout; empty at its root, or where that is not known.
func (o Output) subdirectory() string {
	workspace := o.env(o.platform.workspace)
	if workspace == "" {
		return ""
	}
	dir, err := project.Subdirectory(workspace, o.dir())
	if err != nil || strings.HasPrefix(dir, "..") {
		return ""
	}
	return dir
}

// CanTell tells whether Summarize or Set have an effect.
func (o Output) CanTell() bool { return o.platform.set != nil }

// Summarize adds Markdown to the summary of the run.
func (o Output) Summarize(markdown string) error {
	if o.platform.summary == "" {
		return nil
	}
	file := o.env(o.platform.summary)
	if file == "" {
		return nil
	}
	size := 0
	if info, err := os.Stat(file); err == nil {
		size = int(info.Size())
	}
	return appendFile(file, Shorten(markdown+"\n", maxSummary-size))
}

// Set passes values to later steps and jobs.
func (o Output) Set(values Values) error {
	if o.platform.set == nil {
		return nil
	}
	return o.platform.set(o.env, values)
}

func appendFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Shorten cuts a text after a line so that it has at most that many bytes, and says so in the text.
func Shorten(text string, most int) string {
	const cut = "\n… the rest is omitted because it is too long\n"
	switch {
	case len(text) <= most:
		return text
	case most < len(cut):
		return ""
	}
	text = text[:most-len(cut)]
	return text[:max(0, strings.LastIndexByte(text, '\n'))] + cut
}
