package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// completionTimeout ends what a press of Tab waits for: a person would not wait longer.
const completionTimeout = 3 * time.Second

func newCompletionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print a shell completion script",
		Args: named("bash, zsh, fish or powershell"), ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Long: `The script completes commands, flags, environments, objects and their fields (slipway why
ENV Deployment/… spec.…), releases (slipway rollback ENV …) and kubeconfig contexts. It reads releases
from the environment's cluster.`,
		Example: `  source <(slipway completion bash)        # in ~/.bashrc; needs the package bash-completion
  source <(slipway completion zsh)         # in ~/.zshrc, after compinit
  slipway completion fish >~/.config/fish/completions/slipway.fish
  slipway completion powershell | Out-String | Invoke-Expression   # in $PROFILE`,
		RunE: func(c *cobra.Command, args []string) error { return runCompletion(a, c.Root(), args[0]) },
	}
}

func runCompletion(a *app, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		var script bytes.Buffer
		if err := root.GenBashCompletionV2(&script, true); err != nil {
			return err
		}
		_, err := io.WriteString(a.stdout, strings.Replace(script.String(), bashEnd, bashEnd+bashTrim, 1))
		return err
	case "zsh":
		return root.GenZshCompletion(a.stdout)
	case "fish":
		return root.GenFishCompletion(a.stdout, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(a.stdout)
	}
	return &usageError{fmt.Errorf("unknown shell %q: use bash, zsh, fish or powershell", shell)}
}

// bashEnd is the last command of cobra's function, and bashTrim goes on: readline replaces only the part of
// a word behind its last "=", as in spec.template.spec.containers[name=web].image, so that the part before
// would stand there twice.
const (
	bashEnd  = "    __slipway_process_completion_results\n"
	bashTrim = `    if [[ ${cur} == *=* && ${COMP_WORDBREAKS} == *=* ]]; then
        local typed=${cur} i
        while [[ ${typed} == *=* ]]; do
            typed=${typed#*=}
            for i in "${!COMPREPLY[@]}"; do
                COMPREPLY[i]=${COMPREPLY[i]#*=}
            done
        done
    fi
`
)

// completeArguments gives the commands their completions, by the words of their usage lines.
func completeArguments(a *app, c *cobra.Command) {
	for _, sub := range c.Commands() {
		completeArguments(a, sub)
	}
	if c.ValidArgsFunction != nil || len(c.ValidArgs) > 0 || !c.Runnable() {
		return
	}
	usage, _, _ := strings.Cut(c.Use, " | ") // of alternatives, the first one
	words := strings.Fields(usage)[1:]
	c.ValidArgsFunction = func(
		c *cobra.Command, args []string, _ string,
	) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		return complete(ctx, a, words, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// complete returns the words that may follow args. A project that cannot be read has none.
func complete(ctx context.Context, a *app, usage, args []string) []cobra.Completion {
	p, err := project.Open(a.dir)
	if err != nil || len(usage) == 0 {
		return nil
	}
	last := strings.Trim(usage[len(usage)-1], "[]")
	repeats := strings.HasPrefix(last, "ENV") && last != "ENV" // ENV… or ENV...
	if len(args) >= len(usage) && !repeats {
		return nil
	}
	switch word := strings.Trim(usage[min(len(args), len(usage)-1)], "[].…"); word {
	case "ENV", "FROM", "A", "B":
		return environmentNames(p, args)
	case "argocd|flux", "github|gitlab":
		return strings.Split(word, "|")
	case "KIND/NAME":
		return objectNames(ctx, a, p, args[0])
	case "FIELD":
		return fieldPaths(ctx, a, p, args[0], args[1])
	case "REVISION", "RELEASE":
		return releaseNames(ctx, a, args[0])
	}
	return nil
}

// environmentNames are the environments with their classes, without those that were typed already.
func environmentNames(p project.Project, typed []string) []cobra.Completion {
	var names []cobra.Completion
	for _, e := range p.Environments {
		if !slices.Contains(typed, e.Name) {
			names = append(names, cobra.CompletionWithDesc(e.Name, string(e.Class)))
		}
	}
	return names
}

// renderedSet are the objects of an environment. One that cannot be rendered has none.
func renderedSet(ctx context.Context, a *app, p project.Project, name string) (none object.Set) {
	env, err := p.Environment(name)
	if err != nil {
		return none
	}
	r, err := render.OpenProject(p, a.renderOptions("render"))
	if err != nil {
		return none
	}
	defer r.Close()
	result, err := r.Render(ctx, env)
	if err != nil {
		return none
	}
	return result.Set
}

// objectNames are the objects of an environment as `slipway why` takes them.
func objectNames(ctx context.Context, a *app, p project.Project, name string) []cobra.Completion {
	var names []cobra.Completion
	for _, ref := range renderedSet(ctx, a, p, name).Refs() {
		names = append(names, cobra.CompletionWithDesc(ref.Kind+"/"+ref.Name, ref.Namespace))
	}
	return names
}

// fieldPaths are the fields of an object, without their values: these may be secret.
func fieldPaths(ctx context.Context, a *app, p project.Project, env, typed string) []cobra.Completion {
	set := renderedSet(ctx, a, p, env)
	for _, ref := range set.Refs() {
		if ref.Kind+"/"+ref.Name == typed {
			obj, _ := set.Get(ref)
			var paths []cobra.Completion
			object.Leaves(obj.Body, func(path string, _ any) { paths = append(paths, path) })
			return paths
		}
	}
	return nil
}

// releaseNames are the recorded releases of an environment, the newest first.
func releaseNames(ctx context.Context, a *app, name string) []cobra.Completion {
	t, err := a.target(ctx, name)
	if err != nil {
		return nil
	}
	history, err := t.Records().History(ctx)
	if err != nil {
		return nil
	}
	var all []cobra.Completion
	for _, rel := range history {
		text := fmt.Sprintf("%s, %s, %s ago", rel.Status, short(rel.Commit), age(rel.Started))
		all = append(all, cobra.CompletionWithDesc(fmt.Sprint(rel.Revision), text))
	}
	return all
}

// completeContexts are the contexts of the kubeconfig.
func (a *app) completeContexts(
	*cobra.Command, []string, string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, err := cluster.Contexts(a.kubeconfig)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
