package workflow

import (
	"fmt"
	"slices"

	"github.com/rhysd/actionlint"

	"slipway/internal/check/finding"
	"slipway/internal/lazyregexp"
)

// certain are the kinds of errors for which GitHub refuses the workflow or an expression fails. Others depend
// on data that ages (known actions, events), or are a matter of style.
var certain = []string{"syntax-check", "expression", "job-needs", "id", "env-var"}

// mild matches messages of these kinds that do not stop a run: a value is empty, or may be abused.
var mild = lazyregexp.New(`potentially untrusted|is not defined in object type|should not be empty`)

// parse parses a workflow with actionlint, without shellcheck and pyflakes: it starts no program.
func parse(r *report, f File) (w *actionlint.Workflow) {
	defer func() {
		if p := recover(); p != nil {
			r.unchecked = append(r.unchecked, finding.Unchecked{Place: finding.Place{File: f.Name},
				What: "the workflow", Why: fmt.Sprint(p)})
			w = nil
		}
	}()
	w, errs := actionlint.Parse(f.Text)
	if w != nil {
		actions, workflows := actionlint.NewLocalActionsCache(nil, nil),
			actionlint.NewLocalReusableWorkflowCache(nil, "", nil)
		// Runner labels are not checked: those of self-hosted runners are unknown.
		rules := []actionlint.Rule{
			actionlint.NewRuleMatrix(), actionlint.NewRuleCredentials(), actionlint.NewRuleShellName(),
			actionlint.NewRuleEvents(), actionlint.NewRuleJobNeeds(), actionlint.NewRuleAction(actions),
			actionlint.NewRuleEnvVar(), actionlint.NewRuleID(), actionlint.NewRuleGlob(),
			actionlint.NewRulePermissions(), actionlint.NewRuleWorkflowCall(f.Name, workflows),
			actionlint.NewRuleExpression(actions, workflows), actionlint.NewRuleDeprecatedCommands(),
			actionlint.NewRuleIfCond(),
		}
		v := actionlint.NewVisitor()
		for _, r := range rules {
			v.AddPass(r)
		}
		if err := v.Visit(w); err != nil {
			r.unchecked = append(r.unchecked, finding.Unchecked{Place: finding.Place{File: f.Name},
				What: "the workflow", Why: err.Error()})
		}
		for _, r := range rules {
			errs = append(errs, r.Errs()...)
		}
	}
	for _, e := range errs {
		place := finding.Place{File: f.Name, Line: e.Line, Column: e.Column}
		found := workflowSyntax.In(place, "%s", e.Message)
		if !slices.Contains(certain, e.Kind) || mild().MatchString(e.Message) {
			found.Severity = finding.Warning
		}
		r.add(found, "")
	}
	return w
}
