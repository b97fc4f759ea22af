package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// actOptions are the flags of every verb that changes an environment.
type actOptions struct {
	yes        bool
	permits    deploy.Permits
	cross      bool
	noRollback bool
	timeout    time.Duration
	settle     *time.Duration
	plan       string
	out        *format
}

// permitFlags are those of what a deploy would refuse.
func permitFlags(cmd *cobra.Command, p *deploy.Permits) {
	forceFlag(cmd, p)
	cmd.Flags().BoolVar(&p.TakeOver, "take-over", false,
		"deploy although Argo CD or Flux manages the environment, and take over all fields")
	cmd.Flags().StringArrayVar(&p.Allow.Rules, "allow", nil,
		"deploy to production despite errors of this `RULE` of check, once; may be repeated")
	cmd.Flags().StringVar(&p.Allow.Reason, "reason", "", "reason for --allow; the release records it")
	cmd.Flags().BoolVar(&p.AllowOlder, "allow-older", false,
		"deploy a commit that lacks commits of the running release; the new release records it")
	pruneFlag(cmd, p)
	cmd.Flags().BoolVar(&p.PruneMany, "prune-many", false,
		"allow deleting more than 30 % of the environment's objects")
}

func forceFlag(cmd *cobra.Command, p *deploy.Permits) {
	cmd.Flags().BoolVar(&p.Force, "force-conflicts", false, "take over fields that another field manager owns")
}

func pruneFlag(cmd *cobra.Command, p *deploy.Permits) {
	cmd.Flags().StringArrayVar(&p.Prune, "prune", nil,
		"also delete `KIND/NAME`: a Namespace, CustomResourceDefinition, PersistentVolume or "+
			"PersistentVolumeClaim that left the source; may be repeated")
}

// checkAllow refuses --allow without a reason, and a reason without --allow.
func checkAllow(a deploy.Allow) error {
	switch reason := strings.TrimSpace(a.Reason); {
	case len(a.Rules) > 0 && reason == "":
		return &usageError{errors.New("--allow needs --reason TEXT: the release records it")}
	case len(a.Rules) == 0 && reason != "":
		return &usageError{errors.New("--reason requires --allow RULE")}
	}
	return nil
}

func actFlags(a *app, cmd *cobra.Command) *actOptions {
	o := &actOptions{out: a.outputFlag(cmd, asText, asJSON)}
	waitFlags(cmd, o)
	return o
}

// waitFlags are the flags about the confirmation and the watch.
func waitFlags(cmd *cobra.Command, o *actOptions) {
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.DurationVar(&o.timeout, "timeout", 0,
		"how long to wait for objects to become healthy (default: the deadlines of the objects)")
}

// settleFlag keeps "not given" apart from "0s".
func settleFlag(cmd *cobra.Command, o *actOptions) {
	cmd.Flags().Func("settle", "`duration` for which changed workloads must stay ready without a restart "+
		"(default: 15s in production, 5s in staging, a tenth of that in a sandbox)", func(text string) error {
		d, err := time.ParseDuration(text)
		if err == nil && d < 0 {
			err = errors.New("want a duration such as 30s, or 0s")
		}
		o.settle = &d
		return err
	})
}

func (o *actOptions) options() deploy.Options {
	return deploy.Options{
		Who: ci.Actor(os.Getenv), Timeout: o.timeout, Settle: o.settle, NoRollback: o.noRollback,
	}
}

func newDeployCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "deploy ENV", Short: "Build, plan, apply and watch a release of an environment", Args: a.envArgs(0),
		Long: `Builds the images that the registry does not have, shows the plan and asks for confirmation.
It then applies the plan stage by stage and watches the rollout until all objects are healthy. Each
deploy is recorded in the environment's namespace before its first change. In staging and production, a
failed release is rolled back to the last healthy one.

deploy refuses to release to production what slipway check reports as an error. To accept a finding, add
it with a reason to "exceptions:" in slipway.yaml. To accept a rule once, pass --allow RULE --reason
TEXT: the release records both.

In staging and production, deploy refuses a commit that lacks commits of the running release, unless you
pass --allow-older. To restore an earlier release, run slipway rollback.`,
	}
	o := actFlags(a, cmd)
	settleFlag(cmd, o)
	permitFlags(cmd, &o.permits)
	cmd.Flags().StringVar(&o.plan, "plan", "", "carry out exactly the plan in `FILE`, saved by plan -o FILE")
	cmd.Flags().BoolVar(&o.noRollback, "no-rollback", false, "leave a failed release in place, to inspect it")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		for _, other := range []string{"allow", "allow-older", "force-conflicts", "prune", "prune-many",
			"take-over"} {
			if err := notBoth(c, "plan", other); err != nil {
				return err
			}
		}
		return runDeploy(c.Context(), a, strings.Join(args, ""), o)
	}
	needEnv := cmd.Args
	cmd.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 && o.plan != "" {
			return nil // the plan names it
		}
		return needEnv(c, args)
	}
	return cmd
}

func runDeploy(ctx context.Context, a *app, name string, o *actOptions) error {
	a.planFile = o.plan
	saved, err := readPlan(o.plan)
	if err != nil {
		return err
	}
	if saved != nil && name == "" {
		name = saved.Environment
	}
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	t.Notify = listen(a.cli, o)
	if err := checkAllow(o.permits.Allow); err != nil {
		return err
	}
	// A deploy that cannot ask for confirmation must fail before it builds an image.
	if err := a.mayAsk(o.yes); err != nil {
		return err
	}
	end := a.ci.Fold("images of " + name)
	prepare := deploy.PrepareOptions{Build: true, Image: buildOptions(a.cli)}
	var proposal deploy.Proposal
	if saved != nil {
		proposal, err = deploy.ProposeSaved(ctx, t, *saved, prepare)
	} else {
		proposal, err = deploy.Propose(ctx, t, deploy.ProposeOptions{PrepareOptions: prepare, Permits: o.permits})
	}
	end()
	if err != nil {
		return errors.Join(err, showRefusal(a.cli, err, *o.out, func(r deploy.Review) any {
			return line{Event: deploy.Event{Step: stepCheck, Message: err.Error(), Time: time.Now().UTC()}, Check: &r}
		}))
	}
	return carryOut(ctx, a.cli, t, proposal, o)
}

// readPlan reads a saved plan; nil without a file.
func readPlan(file string) (*deploy.Saved, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--plan: %w", err)}
	}
	saved, err := deploy.ReadSaved(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &saved, nil
}

// carryOut shows the plan, asks and applies. deploy, rollback and delete share it.
func carryOut(
	ctx context.Context, c *cli, t deploy.Target, proposal deploy.Proposal, o *actOptions,
) error {
	page := pageOf(ctx, t, proposal)
	if err := showPlan(c, t.Environment.Name, page, o); err != nil {
		return err
	}
	planned := "" // the deploy makes the plan again, and thousands of changes are not held twice
	if c.ci.CanTell() {
		planned = planMarkdown(page)
	}
	images, unchanged := proposal.Prepared.Images, proposal.Done()
	end := func() {}
	done, err := deploy.WithConsent(ctx, t, proposal, o.options(), func() error {
		question := fmt.Sprintf("Apply this to %s (%s)?", t.Environment.Name, t.Environment.Class)
		if err := c.confirm(ctx, o.yes, question); err != nil {
			return err
		}
		end = c.ci.Fold("apply to " + t.Environment.Name + " and watch")
		return nil
	})
	end()
	switch {
	case done.Applied:
		c.tell(func() (string, ci.Values) {
			return releaseMarkdown(t.Environment.Name, planned, images, done.Release, err), releaseValues(done.Release)
		})
	case unchanged:
		c.tell(func() (string, ci.Values) { return planned, releaseValues(done.Release) })
	}
	return errors.Join(err, showOutcome(c, t, done, err, o))
}

// showRefusal prints what check found where that is why nothing is planned; inJSON is its form in JSON.
func showRefusal(c *cli, err error, out format, inJSON func(deploy.Review) any) error {
	refused, ok := errors.AsType[*deploy.CheckError](err)
	if !ok {
		return nil
	}
	c.tell(func() (string, ci.Values) { return refusalMarkdown(refused), nil })
	switch out {
	case asJSON:
		return c.json(inJSON(refused.Review))
	case asMarkdown:
		_, err := fmt.Fprint(c.stdout, refusalMarkdown(refused))
		return err
	}
	defer c.ci.Fold("findings of " + refused.Environment)()
	page := reportPage{Report: check.Report{Findings: refused.Review.Blocking}, all: true}
	for _, line := range page.fullLines(styleOf(c.stdout)) {
		fmt.Fprintln(c.stdout, line)
	}
	if line := refused.Review.Rest(); line != "" {
		fmt.Fprintf(c.stdout, "check: %s; run `slipway check %s` to read them\n", line, refused.Environment)
	}
	return nil
}

// line is one line of --output json: an event, with the result of the steps plan and done.
type line struct {
	deploy.Event
	Plan    *plan.Plan       `json:"plan,omitempty"`
	Check   *deploy.Review   `json:"check,omitempty"`
	Risks   []plan.Risk      `json:"risks,omitempty"`
	Images  []image.Pin      `json:"images,omitempty"`
	Release *release.Release `json:"release,omitempty"`
	// RolledBack is the release that replaced a failed one.
	RolledBack *release.Release `json:"rolledBack,omitempty"`
}

// Steps that only the CLI emits.
const (
	stepCheck deploy.Step = "check"
	stepPlan  deploy.Step = "plan"
	stepDone  deploy.Step = "done"
)

// listen prints events as they come: text on standard error, or JSON lines on standard output.
func listen(c *cli, o *actOptions) func(deploy.Event) {
	if *o.out == asText {
		return c.progress
	}
	return func(e deploy.Event) {
		c.trace.note(e)
		if err := c.json(e); err != nil {
			c.warn("warning: print an event: %v", err)
		}
	}
}

func showPlan(c *cli, environment string, p planPage, o *actOptions) error {
	if *o.out == asJSON {
		e := deploy.Event{Step: stepPlan, Message: p.From + " → " + p.To, Time: time.Now().UTC()}
		return c.json(line{Event: e, Plan: &p.Plan, Check: &p.Prepared.Review, Risks: p.Risks,
			Images: p.Prepared.Images})
	}
	defer c.ci.Fold("plan of " + environment)()
	printPlan(c.stdout, p)
	return nil
}

// showOutcome prints what became of the plan. Of an error it prints only what the release adds as JSON: the
// error itself is printed at the end of the run.
func showOutcome(c *cli, t deploy.Target, done deploy.Outcome, err error, o *actOptions) error {
	rel, text := done.Release, "nothing changed"
	switch {
	case err != nil && *o.out == asJSON && hasReleased(err):
		text = err.Error()
	case err != nil:
		return nil
	case done.Applied:
		text = fmt.Sprintf("%s after %.1f s", rel.Status, done.Took.Seconds())
	}
	if *o.out == asJSON {
		l := line{RolledBack: done.RolledBack,
			Event: deploy.Event{Step: stepDone, Message: text, Time: time.Now().UTC()}}
		if rel.Revision > 0 {
			l.Release = &rel
		}
		return c.json(l)
	}
	if rel.Revision == 0 {
		fmt.Fprintf(c.stdout, "%s  nothing to delete: it has never been deployed\n", t.Environment.Name)
		return nil
	}
	s := styleOf(c.stdout)
	fmt.Fprintf(c.stdout, "%s  release %d  %s\n", s.bold(t.Environment.Name), rel.Revision,
		s.state(rel.Failure == "", text))
	return nil
}

// hasReleased says that an error is about a release that is in place.
func hasReleased(err error) bool {
	return errors.As(err, new(*deploy.FailedError)) || errors.As(err, new(*deploy.UnstableError))
}
