package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git/forge"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// The marks of the namespace of a preview. All that the agent knows of previews is in them, and in the
// comment on the pull request.
const (
	previewLabel   = "slipway.dev/preview" // of which entry of the configuration
	previewPull    = "slipway.dev/pull-request"
	previewCommit  = "slipway.dev/preview-commit" // which was deployed last, with whatever outcome
	previewExpires = "slipway.dev/preview-expires"

	previewMark = "slipway preview"
	quotaName   = "slipway-preview"
)

// previews keeps an environment for each open pull request that has a label.
type previews struct {
	Previews
	mirror *mirror
	agent  *Agent
	log    *slog.Logger
	id     string

	busy reserved
	said lastSaid // in the log
	work sync.WaitGroup
}

func newPreviews(a *Agent, m *mirror) *previews {
	sum := sha256.Sum256([]byte(sameRepository(m.URL) + "\n" + m.Branch + "\n" + m.Path))
	return &previews{
		Previews: *m.Previews, mirror: m, agent: a, log: a.options.Log, id: hex.EncodeToString(sum[:8]),
	}
}

// preview is one of a pull request.
type preview struct {
	pull      int
	namespace string
	uid       string
	commit    string
	expires   time.Time
}

// namespaceOf is where the preview of a pull request is.
func (p *previews) namespaceOf(pull int) string { return p.Namespace + strconv.Itoa(pull) }

// keep makes the previews those of the open pull requests with the label. Deploys go on after it.
func (p *previews) keep(ctx context.Context, open []forge.Pull) error {
	if p.Context == "" && !isInCluster() { // the pull request must not choose one
		return errors.New("previews: context is missing")
	}
	c, err := deploy.ConnectLease(p.Context, "", p.agent.options.Connect)
	if err != nil {
		return err
	}
	live, err := p.list(ctx, c)
	if err != nil {
		return err
	}
	wanted := slices.DeleteFunc(slices.Clone(open), func(is forge.Pull) bool {
		return !slices.Contains(is.Labels, p.Label)
	})
	slices.SortFunc(wanted, func(a, b forge.Pull) int { return a.Number - b.Number })
	return errors.Join(p.removeOld(ctx, c, live, wanted), p.deployNew(ctx, c, live, wanted))
}

// removeOld removes the previews whose pull request is closed or has lost the label, and those whose time is
// over.
func (p *previews) removeOld(
	ctx context.Context, c *cluster.Cluster, live []preview, wanted []forge.Pull,
) error {
	var errs []error
	for _, is := range live {
		at := slices.IndexFunc(wanted, func(w forge.Pull) bool { return w.Number == is.pull })
		why := ""
		switch {
		case at < 0:
			why = "removed: the pull request is closed, or has no label " + p.Label
		case is.isExpired(wanted[at]):
			why = expiredText(is.commit)
		default:
			continue
		}
		if p.busy.take(is.pull) {
			if err := p.remove(ctx, c, is, why); err != nil {
				errs = append(errs, fmt.Errorf("remove the preview of pull request %d: %w", is.pull, err))
			}
			p.busy.give(is.pull)
		}
	}
	return errors.Join(errs...)
}

// deployNew begins to deploy the previews that lack the newest commit of their pull request.
func (p *previews) deployNew(
	ctx context.Context, c *cluster.Cluster, live []preview, wanted []forge.Pull,
) error {
	var errs []error
	for n, is := range wanted {
		if n >= p.Most {
			errs = append(errs, p.sayFull(ctx, is))
			continue
		}
		i := slices.IndexFunc(live, func(l preview) bool { return l.pull == is.Number })
		if i >= 0 && (live[i].commit == is.Commit || live[i].isExpired(is)) {
			continue
		}
		if i < 0 && p.hasExpired(ctx, is) || !p.busy.take(is.Number) {
			continue
		}
		p.work.Go(func() {
			defer p.busy.give(is.Number)
			err := p.deploy(ctx, c, is)
			if text := fmt.Sprint(err); ctx.Err() == nil && p.said.isNews(is.Number, text) && err != nil {
				p.log.Warn(fmt.Sprintf("preview of pull request %d: %s", is.Number, text),
					"commit", is.Commit)
			}
		})
	}
	return errors.Join(errs...)
}

func (l preview) isExpired(is forge.Pull) bool {
	return l.commit == is.Commit && !l.expires.IsZero() && time.Now().After(l.expires)
}

// expiredText is also how the agent knows the preview of this commit has been there.
func expiredText(commit string) string {
	return fmt.Sprintf("removed: it expired for commit %s. Push, or delete this comment, to get "+
		"a new one", short(commit))
}

// hasExpired says whether the preview of the newest commit of a pull request was removed because its time was
// over: the comment says so.
func (p *previews) hasExpired(ctx context.Context, is forge.Pull) bool {
	text, err := p.mirror.Forge.Commented(ctx, p.mirror.URL, is.Number, previewMark)
	return err != nil || strings.Contains(text, expiredText(is.Commit))
}

// lastSaid is the last text about each pull request.
type lastSaid struct {
	mu  sync.Mutex
	all map[int]string
}

// isNews notes a text, and says whether it is another one than the last.
func (l *lastSaid) isNews(pull int, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[int]string{}
	}
	was := l.all[pull]
	l.all[pull] = text
	return was != text
}

// sayFull says once that a pull request has no preview, because others have.
func (p *previews) sayFull(ctx context.Context, is forge.Pull) error {
	text := fmt.Sprintf("waits: %d other pull requests have one, which is the agent's limit\n",
		p.Most)
	if !p.said.isNews(is.Number, text) {
		return nil
	}
	return p.say(ctx, is.Number, text)
}

// reserved are the pull requests that something is done for: one act at a time for each.
type reserved struct {
	mu  sync.Mutex
	all map[int]bool
}

func (r *reserved) take(pull int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[pull] {
		return false
	}
	if r.all == nil {
		r.all = map[int]bool{}
	}
	r.all[pull] = true
	return true
}

func (r *reserved) give(pull int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, pull)
}

// list returns the previews of this entry that the cluster has.
func (p *previews) list(ctx context.Context, c *cluster.Cluster) ([]preview, error) {
	all, err := cluster.List(ctx, c, object.Ref{Kind: "Namespace"}, nil)
	if err != nil {
		return nil, err
	}
	var live []preview
	for _, ns := range all {
		of := func(kind, key string) string {
			text, _ := ns.Object.At("metadata", kind, key).(string)
			return text
		}
		number, err := strconv.Atoi(of("annotations", previewPull))
		isGoing := ns.Object.At("metadata", "deletionTimestamp") != nil
		if of("labels", previewLabel) != p.id || err != nil || isGoing {
			continue
		}
		l := preview{pull: number, namespace: ns.Object.Ref().Name, commit: of("annotations", previewCommit)}
		l.uid, _ = ns.Object.At("metadata", "uid").(string)
		l.expires, _ = time.Parse(time.RFC3339, of("annotations", previewExpires))
		live = append(live, l)
	}
	return live, nil
}

// remove deletes the namespace of a preview, with all that is in it, and says so on the pull request.
func (p *previews) remove(ctx context.Context, c *cluster.Cluster, is preview, why string) error {
	if err := p.agent.leadership.fence(ctx); err != nil {
		return err
	}
	if err := c.Delete(ctx, object.Ref{Kind: "Namespace", Name: is.namespace}, is.uid); err != nil {
		return err
	}
	p.log.Info(fmt.Sprintf("preview of pull request %d %s", is.pull, why), "namespace", is.namespace)
	return p.say(ctx, is.pull, why+".\n")
}

// sayRefused says why a commit has no preview.
func (p *previews) sayRefused(ctx context.Context, is forge.Pull, why error) error {
	return p.say(ctx, is.Number, fmt.Sprintf("of commit %s: refused: %v\n", short(is.Commit), why))
}

func (p *previews) say(ctx context.Context, pull int, text string) error {
	return p.mirror.Forge.Comment(ctx, p.mirror.URL, pull, previewMark, "**slipway preview** "+text)
}

// deploy makes the preview of a pull request that of its newest commit.
func (p *previews) deploy(ctx context.Context, c *cluster.Cluster, is forge.Pull) error {
	tip, err := p.mirror.fetchPull(ctx, is)
	if err != nil || tip != is.Commit {
		return err // it has just moved
	}
	e := entry{
		name: p.Environment, mirror: p.mirror, agent: p.agent,
		policy: Environment{Context: p.Context, Namespace: p.namespaceOf(is.Number)},
	}
	t, remove, err := e.readUntrusted(ctx, is.Commit)
	if remove != nil {
		defer remove()
	}
	if err != nil {
		return p.sayRefused(ctx, is, err)
	}
	if err := p.agent.leadership.fence(ctx); err != nil {
		return err
	}
	if err := p.mark(ctx, c, is.Number, "", time.Time{}); errors.Is(err, errGoing) {
		return nil // the next look finds it gone
	} else if err != nil {
		return errors.Join(err, p.sayRefused(ctx, is, err))
	}
	proposal, err := deploy.Propose(ctx, t, deploy.ProposeOptions{
		OnlyHere: true, Permits: deploy.Permits{AllowOlder: true},
	})
	if err == nil {
		err = stays(proposal, e.policy.Namespace)
	}
	if waits := unbuilt(proposal); err == nil && waits != "" {
		text := fmt.Sprintf("of commit %s: waits until %s is in its registry\n", short(is.Commit), waits)
		return p.say(ctx, is.Number, text)
	}
	head := "refused"
	if err == nil {
		if err = proposal.Blocked(); err == nil {
			_, err = deploy.Apply(ctx, t, proposal, e.options())
		}
		if head = "healthy"; err != nil {
			head = "failed: " + err.Error()
		}
	}
	if unreachable := (*cluster.UnreachableError)(nil); errors.As(err, &unreachable) || ctx.Err() != nil {
		return err // it is tried again
	}
	plan := p.agent.options.Describe(ctx, t, proposal, refusal(head, err))
	return p.settle(ctx, c, is, head+p.address(is.Number, proposal), plan)
}

// settle says on the pull request what became of its newest commit, and marks the preview as deployed from
// it.
func (p *previews) settle(
	ctx context.Context, c *cluster.Cluster, is forge.Pull, outcome, plan string,
) error {
	namespace := p.namespaceOf(is.Number)
	expires := time.Now().Add(time.Duration(p.TimeToLive)).UTC().Truncate(time.Second)
	text := fmt.Sprintf("of commit %s: %s\n\nIn namespace %s until %s. A push renews it; it is removed with "+
		"the pull request.\n\n%s", short(is.Commit), outcome, namespace,
		expires.Format("2006-01-02 15:04 MST"), plan)
	if err := p.say(ctx, is.Number, text); err != nil {
		return err
	}
	p.log.Info(fmt.Sprintf("preview of pull request %d: %s", is.Number, outcome), "commit", is.Commit,
		"namespace", namespace)
	return p.mark(ctx, c, is.Number, is.Commit, expires)
}

// refusal is an error where it came before the deploy; a plan is shown otherwise.
func refusal(head string, err error) error {
	if head == "refused" {
		return err
	}
	return nil
}

// stays fails where a preview would have objects outside of its namespace, or its own quota.
func stays(p deploy.Proposal, namespace string) error {
	for _, c := range p.Plan.Changes {
		switch {
		case c.Ref.Namespace != namespace && c.Action != plan.Keep:
			return fmt.Errorf("%s is not in namespace %s: a preview may have objects only in its own namespace",
				c.Ref, namespace)
		case c.Ref.Kind == "ResourceQuota" || c.Ref.Kind == "LimitRange":
			return fmt.Errorf("%s: the quota of a preview is that of the agent's configuration", c.Ref)
		}
	}
	return nil
}

// unbuilt names the first image that is not in its registry; empty: all are.
func unbuilt(p deploy.Proposal) string {
	for _, pin := range p.Prepared.Images {
		if pin.Digest == "" {
			return pin.Reference()
		}
	}
	return ""
}

// address is where people reach a preview, as the configuration or its Ingresses say; empty: neither does.
func (p *previews) address(pull int, of deploy.Proposal) string {
	if p.URL != "" {
		return " at " + strings.ReplaceAll(p.URL, "{number}", strconv.Itoa(pull))
	}
	var hosts []string
	for _, o := range of.Prepared.Set.Objects() {
		if o.Ref().Kind != "Ingress" {
			continue
		}
		rules, _ := o.At("spec", "rules").([]any)
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			if host, _ := rule["host"].(string); host != "" {
				hosts = append(hosts, "https://"+host)
			}
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	return " at " + strings.Join(hosts, ", ")
}

// errGoing says that the namespace of an earlier preview is still being deleted.
var errGoing = errors.New("it is being deleted")

// mark writes the namespace of a preview with its quota. It fails where a namespace of that name is not a
// preview of this entry.
func (p *previews) mark(
	ctx context.Context, c *cluster.Cluster, pull int, commit string, expires time.Time,
) error {
	name := p.namespaceOf(pull)
	ref := object.Ref{Kind: "Namespace", Name: name}
	live, found, err := c.Get(ctx, ref)
	if err != nil {
		return c.Explain(ctx, "get", ref, err)
	}
	if found && live.At("metadata", "labels", previewLabel) != p.id {
		return fmt.Errorf("namespace %s exists, and is not a preview of this repository", name)
	}
	if found && live.At("metadata", "deletionTimestamp") != nil {
		return errGoing
	}
	if !found || commit != "" {
		annotations := map[string]any{previewPull: strconv.Itoa(pull)}
		if commit != "" {
			annotations[previewCommit], annotations[previewExpires] = commit, expires.Format(time.RFC3339)
		}
		ns := object.Object{Body: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
				"name": name, "annotations": annotations, "labels": map[string]any{
					previewLabel: p.id, "pod-security.kubernetes.io/enforce": "baseline",
				},
			},
		}}
		if err := c.Apply(ctx, ns, false); err != nil {
			return err
		}
	}
	if err := p.bind(ctx, name); err != nil {
		return err
	}
	hard := map[string]any{}
	for key, value := range p.Quota {
		hard[key] = value
	}
	return c.Apply(ctx, object.Object{Body: map[string]any{
		"apiVersion": "v1", "kind": "ResourceQuota",
		"metadata": map[string]any{"name": quotaName, "namespace": name},
		"spec":     map[string]any{"hard": hard},
	}}, true)
}
