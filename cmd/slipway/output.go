package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/git"
)

// errConsent refuses an act without a terminal to confirm it at.
var errConsent = errors.New("confirmation required: stdin is not a terminal")

// errConsentCI refuses to ask in CI, whatever stdin looks like.
var errConsentCI = errors.New("confirmation required: pass --yes in CI")

// errDeclined is the answer no.
var errDeclined = errors.New("not confirmed; nothing was changed")

// format is the value of --output.
type format string

const (
	asText format = "text"
	asJSON format = "json"
	asYAML format = "yaml"

	asMarkdown format = "markdown"
)

// outputFlag adds --output with the formats of a verb; the first is the default. Where a verb prints JSON,
// the same values can be had as YAML.
func (a *app) outputFlag(cmd *cobra.Command, known ...format) *format {
	f, value := known[0], formatValue{known: known}
	if slices.Contains(known, asJSON) && !slices.Contains(known, asYAML) {
		value.yaml = &a.yaml
		known = slices.Insert(slices.Clone(known), slices.Index(known, asJSON)+1, asYAML)
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	value.f, value.names = &f, orList(names)
	cmd.Flags().VarP(&value, "output", "o", value.names)
	complete := cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("output", complete); err != nil {
		panic(err) // the flag is added above
	}
	return &f
}

// notBoth refuses two flags of one command line.
func notBoth(cmd *cobra.Command, a, b string) error {
	if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
		return &usageError{fmt.Errorf("--%s cannot be used with --%s", a, b)}
	}
	return nil
}

// outputOrFileFlag adds --output, which also takes the path of a file: a word with a dot or a slash.
func (a *app) outputOrFileFlag(cmd *cobra.Command, file *string, known ...format) *format {
	f := a.outputFlag(cmd, known...)
	flag := cmd.Flags().Lookup("output")
	flag.Usage += ", or a FILE to save the plan in"
	flag.Value = &fileValue{flag.Value.(*formatValue), file}
	return f
}

type fileValue struct {
	*formatValue
	file *string
}

func (v *fileValue) Set(s string) error {
	err := v.formatValue.Set(s)
	if err != nil && strings.ContainsAny(s, `./\`) {
		*v.file = s
		return nil
	}
	return err
}

// orList prints "text, json or yaml".
func orList(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

type formatValue struct {
	f     *format
	known []format
	names string
	yaml  *bool // print the values of JSON as YAML; nil: the verb has no such output
}

func (v *formatValue) String() string { return string(*v.f) }
func (v *formatValue) Type() string   { return "format" }
func (v *formatValue) Set(s string) error {
	if v.yaml != nil {
		*v.yaml = s == string(asYAML)
		if *v.yaml {
			s = string(asJSON)
		}
	}
	for _, k := range v.known {
		if s == string(k) {
			*v.f = k
			return nil
		}
	}
	return fmt.Errorf("use %s", v.names)
}

// warn prints one line on stderr.
func (a *app) warn(text string, args ...any) {
	fmt.Fprintf(a.stderr, "slipway: "+text+"\n", args...)
}

// json prints one value on stdout: on one line, or with --output yaml as a document.
func (a *app) json(v any) error {
	if !a.yaml {
		return json.NewEncoder(a.stdout).Encode(v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "---\n%s", text)
	return err
}

// marks are the signs of acts, the same in plans and progress.
var marks = map[string]string{"created": "+", "updated": "~", "deleted": "-", "replaced": "±"}

// progress prints an event for a person.
func (a *app) progress(e deploy.Event) {
	a.trace.note(e)
	s := styleOf(a.stderr)
	if e.Step == deploy.Failure {
		a.settle()
		printEvidence(a.stderr, e)
		return
	}
	if a.quiet {
		return
	}
	mark, ok := marks[e.Message]
	if !ok {
		mark = "·"
	}
	text := brief(e.Message)
	if e.Ref != nil {
		text = fmt.Sprintf("%s  %s", e.Ref, text)
	}
	if mark == "·" {
		a.advance(e, text)
		return
	}
	fmt.Fprintln(a.stderr, s.mark(mark, fmt.Sprintf("  %s %s", mark, text)))
}

// advance prints a line of progress. On a console, an object that is not healthy yet has a row.
func (a *app) advance(e deploy.Event, text string) {
	s, ok := a.stderr.(*console)
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
	fmt.Fprintf(a.stderr, "  %s %s\n", styleOf(a.stderr).dim("·"), text)
}

// settle leaves the rows of a console as lines of their own.
func (a *app) settle() {
	if s, ok := a.stderr.(*console); ok {
		s.settle()
	}
}

// mayAsk fails where confirm would fail, so that a verb can stop before it builds or pushes.
func (a *app) mayAsk(yes bool) error {
	switch {
	case yes:
		return nil
	case ci.IsRunning(os.Getenv):
		return errConsentCI
	case !isTerminal(a.stdin):
		return errConsent
	}
	return nil
}

// confirm asks until there is an answer or an interrupt.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if err := a.mayAsk(yes); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", styleOf(a.stderr).bold(question))
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil {
			line = ""
			fmt.Fprintln(a.stderr)
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return errDeclined
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
		return errDeclined
	}
}

func isTerminal(v any) bool {
	f, ok := v.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// short prints the first seven digits of a commit, "-" for an empty one.
func short(commit string) string { return cmp.Or(git.Short(commit), "-") }
