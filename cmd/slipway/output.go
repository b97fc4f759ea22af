package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/git"
	"slipway/internal/words"
)

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
func (c *cli) outputFlag(cmd *cobra.Command, known ...format) *format {
	f, value := known[0], formatValue{known: known}
	if slices.Contains(known, asJSON) && !slices.Contains(known, asYAML) {
		value.yaml = &c.yaml
		known = slices.Insert(slices.Clone(known), slices.Index(known, asJSON)+1, asYAML)
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	value.f, value.names = &f, words.Or(names)
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
func (c *cli) outputOrFileFlag(cmd *cobra.Command, file *string, known ...format) *format {
	f := c.outputFlag(cmd, known...)
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

func isTerminal(v any) bool {
	f, ok := v.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// short prints the first seven digits of a commit, "-" for an empty one.
func short(commit string) string { return cmp.Or(git.Short(commit), "-") }
