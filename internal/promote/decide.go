package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/words"
)

// Gate is one condition of the gates of an environment.
type Gate struct {
	// Name is its key in slipway.yaml, or "quarantine".
	Name string `json:"gate"`
	Open bool   `json:"open"`
	// Why says in one sentence why it is shut.
	Why string `json:"why,omitempty"`
	// Since is when it shut, Opens when it opens by itself; zero: that is not known.
	Since time.Time `json:"since,omitzero"`
	Opens time.Time `json:"opens,omitzero"`

	err error // in place of a *GateError
}

// Decision says whether the gates of an environment let images through, and which.
type Decision struct {
	Environment string `json:"environment"`
	// From is the environment that the images come from.
	From string `json:"from"`
	// Gates are those that could be looked at: without images that are healthy in From, most cannot.
	Gates []Gate `json:"gates,omitempty"`
	// Current: the environment runs these images already.
	Current bool `json:"current,omitempty"`
	// Error is why the gates cannot be read.
	Error string `json:"error,omitempty"`
	// Proof has the images, where the gate "from" is open.
	Proof Proof `json:"-"`
	// Approvals are those of the images, and Approver is the user, whose own does not count; empty: no one
	// promotes, or the gates ask for none.
	Approvals []release.Approval `json:"-"`
	Approver  string             `json:"-"`
}

// Shut returns the gates that are shut.
func (d Decision) Shut() []Gate {
	return slices.DeleteFunc(slices.Clone(d.Gates), func(g Gate) bool { return g.Open })
}

// Why says in one line why gates are shut; empty: all are open.
func (d Decision) Why() string {
	var lines []string
	for _, g := range d.Shut() {
		lines = append(lines, g.Why)
	}
	return strings.Join(lines, "; ")
}

// Err returns nil where all gates are open, a *deploy.QuarantinedError where the images are held back, and
// else a *GateError.
func (d Decision) Err() error {
	shut := d.Shut()
	for _, g := range shut {
		if g.err != nil {
			return g.err
		}
	}
	if len(shut) == 0 {
		return nil
	}
	return &GateError{d.Environment, d.From, d.Why()}
}

// Access is how gates are read. The agent and the CLI reach the same things by different ways.
type Access struct {
	// Connect returns the environment that images come from, with its cluster.
	Connect func(project.Environment) (deploy.Target, error)
	// Itself returns the environment that is promoted to, with its cluster; nil: it has that already.
	Itself func() (deploy.Target, error)
	// Names returns the images that the files of both environments have in common, where the project deploys
	// what others build.
	Names func(ctx context.Context, from project.Environment) ([]image.Pin, error)
	// Kept proves the images of an environment that another tool deploys; nil: it proves nothing.
	Kept func(ctx context.Context, from deploy.Target) (Proof, error)
	// Notes fetches the Git notes of the remote.
	Notes func(context.Context) (Notes, error)
	// Checks returns what the forge knows about a commit.
	Checks func(ctx context.Context, commit string) ([]forge.Check, error)
	// Revision returns the commit that an image was built from, by its label; nil: the registry is asked.
	Revision func(context.Context, image.Pin) (string, error)
	// Past is the record of the environment that images come from, and Held that of the environment itself,
	// where they were read before; nil: they were not.
	Past, Held *release.Past
	// Looks: nothing is promoted, and so all approvals count.
	Looks bool
}

// Notes is a clone with the Git notes as the remote has them.
type Notes struct {
	Repository git.Repository
	// Commit is the newest one of the branch that is deployed.
	Commit string
	// Done ends their use; it may be nil.
	Done func()
}

// Decide looks at all gates of an environment, for the images of another one. It is the only place that
// decides whether images may be promoted: for `slipway promote`, for the agent, and for all that shows it. It
// fails where the environment that images come from cannot be read; other gates that cannot be read are shut.
func Decide(
	ctx context.Context, t deploy.Target, from project.Environment, a Access,
) (Decision, error) {
	d := Decision{Environment: t.Environment.Name, From: from.Name}
	g := project.Gates{From: from.Name}
	if t.Environment.Gates != nil {
		g = *t.Environment.Gates
	}
	notes := &lazyNotes{open: a.Notes}
	defer notes.close()
	p, err := a.prove(ctx, t, from, g, notes)
	gate, err := gateOf("from", err)
	if err != nil {
		d.Error = err.Error()
		return d, err
	}
	d.Gates = append(d.Gates, gate)
	if gate.Open {
		d.Proof = p
		d.Gates = append(d.Gates, a.ofImages(ctx, t, &d, g, notes)...)
	}
	if len(g.Windows) > 0 {
		d.Gates = append(d.Gates, windowGate(g.Windows, time.Now()))
	}
	return d, nil
}

// ofImages are the gates that are about the images of a proof.
func (a Access) ofImages(
	ctx context.Context, t deploy.Target, d *Decision, g project.Gates, notes *lazyNotes,
) (all []Gate) {
	p := d.Proof
	if g.Healthy > 0 {
		all = append(all, healthyGate(g.Healthy, p, time.Now()))
	}
	if a.Held != nil {
		if rel, pin, held := a.Held.QuarantinedImage(p.Images); held {
			all = append(all, quarantineGate(t.Environment.Name, rel, pin))
		}
	}
	if len(g.Checks)+len(g.Notes) > 0 {
		all = append(all, a.checkGates(ctx, t, g, p, notes)...)
	}
	if g.Approvals > 0 {
		gate, err := gateOf("approvals", a.checkApprovals(ctx, t, d))
		if err != nil {
			gate = Gate{Name: "approvals", Why: fmt.Sprintf("its approvals cannot be read: %v", err)}
		}
		all = append(all, gate)
	}
	return all
}

// shutError says why a gate is shut.
type shutError struct {
	why          string
	since, opens time.Time
}

func (e *shutError) Error() string { return e.why }

// shut is a *shutError since a time, which may be zero.
func shut(since time.Time, format string, args ...any) error {
	return &shutError{why: fmt.Sprintf(format, args...), since: since}
}

// gateOf makes a gate of what a look at it returned. Other errors are returned.
func gateOf(name string, err error) (Gate, error) {
	var s *shutError
	switch {
	case err == nil:
		return Gate{Name: name, Open: true}, nil
	case errors.As(err, &s):
		return Gate{Name: name, Why: s.why, Since: s.since.UTC(), Opens: s.opens.UTC()}, nil
	}
	return Gate{}, err
}

func healthyGate(must time.Duration, p Proof, now time.Time) Gate {
	been := now.Sub(p.Since)
	if been >= must {
		return Gate{Name: "healthy", Open: true}
	}
	return Gate{
		Name: "healthy", Since: p.Since.UTC(), Opens: p.Since.Add(must).UTC(),
		Why: fmt.Sprintf("%s has been healthy for %s of %s%s", p.subject(),
			words.Duration(been.Truncate(time.Second)), words.Duration(must), p.witness()),
	}
}

func quarantineGate(environment string, rel release.Release, pin image.Pin) Gate {
	return Gate{
		Name: "quarantine", Since: rel.Quarantine.Since,
		Why: fmt.Sprintf("%s is not promoted: release %d of %s is in quarantine: %s", pin.Reference(), rel.Revision,
			environment, rel.Quarantine.Reason),
		err: &deploy.QuarantinedError{
			Environment: environment, Release: rel, Image: pin.Reference(), Promoting: true,
		},
	}
}

func windowGate(windows []project.Window, now time.Time) Gate {
	opens := project.NextOpen(windows, now)
	if !opens.After(now) {
		return Gate{Name: "windows", Open: true}
	}
	return Gate{
		Name: "windows", Since: project.LastClosed(windows, now).UTC(), Opens: opens.UTC(),
		Why: "its window opens on " + opens.Format("Mon 2006-01-02 at 15:04 MST"),
	}
}

// lazyNotes are notes that are fetched once, when they are first needed.
type lazyNotes struct {
	open   func(context.Context) (Notes, error)
	notes  Notes
	err    error
	opened bool
}

func (n *lazyNotes) get(ctx context.Context) (Notes, error) {
	if !n.opened {
		n.opened = true
		if n.open == nil {
			n.err = errors.New("the Git notes are not known here")
		} else {
			n.notes, n.err = n.open(ctx)
		}
	}
	return n.notes, n.err
}

func (n *lazyNotes) close() {
	if n.notes.Done != nil {
		n.notes.Done()
	}
}

// prove returns the images that the environment from runs and that are healthy there. It fails with a
// *shutError where they are not.
func (a Access) prove(
	ctx context.Context, t deploy.Target, from project.Environment, g project.Gates, notes *lazyNotes,
) (Proof, error) {
	if g.Verdict != "" {
		n, err := notes.get(ctx)
		if err != nil {
			return Proof{}, fmt.Errorf("promote from %s: %w", from.Name, err)
		}
		return proveByVerdict(ctx, g, n)
	}
	source, err := a.Connect(from)
	if err != nil {
		return Proof{}, err
	}
	past := a.Past
	if past == nil {
		read, err := source.Records().Past(ctx)
		if err != nil {
			return Proof{}, fmt.Errorf("promote from %s: %w", from.Name, err)
		}
		past = &read
	}
	if past.Latest.Revision == 0 && a.Kept != nil {
		return a.Kept(ctx, source)
	}
	return proveByRecord(ctx, t, source, *past, a.Names)
}

// checkGates are one gate for each check that must have passed.
func (a Access) checkGates(
	ctx context.Context, t deploy.Target, g project.Gates, p Proof, notes *lazyNotes,
) (all []Gate) {
	commits, err := a.commits(ctx, t, p)
	if err != nil {
		return []Gate{{Name: "checks", Why: err.Error(), Since: p.Since.UTC()}}
	}
	for _, kind := range []struct {
		name   string
		checks []string
		read   func(commit string) ([]forge.Check, error)
	}{
		{"checks", g.Checks, func(commit string) ([]forge.Check, error) {
			if a.Checks == nil {
				return nil, errors.New("the forge is not known")
			}
			return a.Checks(ctx, commit)
		}},
		{"notes", g.Notes, func(commit string) ([]forge.Check, error) {
			n, err := notes.get(ctx)
			if err != nil {
				return nil, err
			}
			note, err := n.Repository.Note(ctx, commit)
			return notedChecks(note), err
		}},
	} {
		if len(kind.checks) == 0 {
			continue
		}
		known := map[string][]forge.Check{}
		var err error
		for _, commit := range commits {
			if known[commit], err = kind.read(commit); err != nil {
				break
			}
		}
		if err != nil {
			all = append(all, Gate{
				Name: kind.name, Since: p.Since.UTC(), Why: fmt.Sprintf("its %s cannot be read: %v", kind.name, err),
			})
			continue
		}
		for _, check := range kind.checks {
			all = append(all, checkGate(kind.name, check, commits, known, p.Since))
		}
	}
	return all
}

// checkGate is open where a check has passed for all commits, in each of its results.
func checkGate(
	name, check string, commits []string, known map[string][]forge.Check, waiting time.Time,
) Gate {
	for _, commit := range commits {
		has := false
		for _, c := range known[commit] {
			if c.Name != check {
				continue
			}
			has = true
			if c.State != forge.Passed {
				since := c.Time
				if since.IsZero() {
					since = waiting
				}
				return Gate{Name: name, Since: since.UTC(), Why: fmt.Sprintf("check %q of commit %s is %q", check,
					git.Short(commit), c.Said)}
			}
		}
		if !has {
			return Gate{Name: name, Since: waiting.UTC(), Why: fmt.Sprintf("check %q of commit %s has not reported",
				check, git.Short(commit))}
		}
	}
	return Gate{Name: name, Open: true}
}

// commits returns the commits that the images of a proof were built from. Where the project deploys images
// that others build, that is the commit of the release.
func (a Access) commits(ctx context.Context, t deploy.Target, p Proof) ([]string, error) {
	deployed := cmp.Or(p.Release.Commit, t.Source.Commit)
	if len(t.Source.Project.Images) == 0 {
		return []string{deployed}, nil
	}
	revision := a.Revision
	if revision == nil {
		revision = func(ctx context.Context, pin image.Pin) (string, error) {
			return image.Revision(ctx, pin, t.Reach(image.Options{}))
		}
	}
	var all []string
	for _, pin := range p.Images {
		commit, err := revision(ctx, reached(t.Environment, pin))
		if err != nil {
			return nil, fmt.Errorf("the commit of %s cannot be read: %w", pin.Name, err)
		}
		if commit = cmp.Or(commit, deployed); !slices.Contains(all, commit) {
			all = append(all, commit)
		}
	}
	return all, nil
}
