package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/docs"
)

func newDocsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "docs [PAGE]", Short: "Print a page of the documentation, or list all pages",
		Long: `Prints a page of this version's documentation as Markdown, without network access. PAGE is a
path in docs/, or its last part. Without PAGE, it lists all pages.`,
		Example: "  slipway docs\n  slipway docs tutorial | less\n  slipway docs howto/helm",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listPages(a.stdout)
		}
		p, err := docs.Find(args[0])
		if err == nil {
			_, err = io.WriteString(a.stdout, p.Text)
		}
		return err
	}
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		all, err := docs.Pages()
		var names []string
		for _, p := range all {
			names = append(names, p.Name+"\t"+p.Title)
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func listPages(out io.Writer) error {
	all, err := docs.Pages()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\n", p.Name, p.Title)
	}
	return w.Flush()
}
