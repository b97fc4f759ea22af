package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"slipway/internal/ci"
	"slipway/internal/deploy"
)

// errConsent refuses an act without a terminal to confirm it at.
var errConsent = errors.New("confirmation required: stdin is not a terminal")

// errConsentCI refuses to ask in CI, whatever stdin looks like.
var errConsentCI = errors.New("confirmation required: pass --yes in CI")

// errDeclined is the answer no.
var errDeclined = errors.New("not confirmed; nothing was changed")

// cli is where a verb prints, asks, and tells the CI platform.
type cli struct {
	stdin          *os.File
	stdout, stderr io.Writer
	ci             ci.Output
	quiet          bool
	yaml           bool // --output yaml: see json
	trace          tracing
}

// warn prints one line on stderr.
func (c *cli) warn(text string, args ...any) {
	fmt.Fprintf(c.stderr, "slipway: "+text+"\n", args...)
}

// notes prints notes about the source, unless --quiet is given.
func (c *cli) notes(notes []string) {
	if c.quiet {
		return
	}
	for _, n := range notes {
		c.warn("note: %s", n)
	}
}

// json prints one value on stdout: on one line, or with --output yaml as a document.
func (c *cli) json(v any) error {
	if !c.yaml {
		return json.NewEncoder(c.stdout).Encode(v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "---\n%s", text)
	return err
}

// tell writes the summary and the outputs of a verb. The verb does not fail where that fails.
func (c *cli) tell(say func() (markdown string, values ci.Values)) {
	if !c.ci.CanTell() {
		return
	}
	markdown, values := say()
	if err := c.ci.Summarize(markdown); err != nil {
		c.warn("warning: write the summary of this job: %v", err)
	}
	if err := c.ci.Set(values); err != nil {
		c.warn("warning: set the outputs of this step: %v", err)
	}
}

// progress prints an event for a person.
func (c *cli) progress(e deploy.Event) {
	c.trace.note(e)
	s := styleOf(c.stderr)
	if e.Step == deploy.Failure {
		c.settle()
		printEvidence(c.stderr, e)
		return
	}
	if c.quiet && !e.Warning {
		return
	}
	text := brief(e.Message)
	if e.Ref != nil {
		text = fmt.Sprintf("%s  %s", e.Ref, text)
	}
	mark, acted := planMarks[e.Done]
	if !acted {
		c.advance(e, text)
		return
	}
	fmt.Fprintln(c.stderr, s.mark(mark, fmt.Sprintf("  %s %s", mark, text)))
}

// advance prints a line of progress. On a console, an object that is not healthy yet has a row.
func (c *cli) advance(e deploy.Event, text string) {
	s, ok := c.stderr.(*console)
	switch {
	case !ok:
	case e.Ref != nil && !e.Current:
		s.Row(e.Ref.String(), text)
		return
	case e.Ref != nil:
		s.Row(e.Ref.String(), "")
	case e.Step != deploy.Watch && e.Step != deploy.Image:
		s.settle()
	}
	fmt.Fprintf(c.stderr, "  %s %s\n", styleOf(c.stderr).dim("·"), text)
}

// settle leaves the rows of a console as lines of their own.
func (c *cli) settle() {
	if s, ok := c.stderr.(*console); ok {
		s.settle()
	}
}

// mayAsk fails where confirm would fail, so that a verb can stop before it builds or pushes.
func (c *cli) mayAsk(yes bool) error {
	switch {
	case yes:
		return nil
	case ci.IsRunning(os.Getenv):
		return errConsentCI
	case !isTerminal(c.stdin):
		return errConsent
	}
	return nil
}

// confirm asks until there is an answer or an interrupt.
func (c *cli) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if err := c.mayAsk(yes); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "%s [y/N] ", styleOf(c.stderr).bold(question))
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		if err != nil {
			line = ""
			fmt.Fprintln(c.stderr)
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.stderr)
		return errDeclined
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
		return errDeclined
	}
}
