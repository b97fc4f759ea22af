package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/agent/child"
	"slipway/internal/check"
	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

const (
	// maxInspected is how large an answer about the files of a commit may be, and maxKept how much is kept of
	// them all, in bytes of JSON.
	maxInspected = 8 << 20
	maxKept      = 32 << 20
)

// inspector answers questions of pages about the files of commits. A process with limits reads the files, one
// at a time: deploys need the others.
type inspector struct {
	agent   *Agent
	commits *openCommits
	turn    chan struct{} // with room for one

	mu   sync.Mutex
	all  map[[sha256.Size]byte][]byte // the answers, in JSON
	size int
}

// errBundled says that the source of an environment is not there to be inspected.
var errBundled = errors.New("it is deployed from a rendered set, which lacks the source: " +
	"run the verb in the repository")

// inspect does a job with the files of a commit, and of another one where it compares. An answer is kept by
// all that it depends on: commits, options, the version of this program, and the day.
func (i *inspector) inspect(ctx context.Context, job check.Job, of, other *openCommit) (check.Answer, error) {
	if of.files.bundle != nil || other.files.bundle != nil {
		return check.Answer{}, errBundled
	}
	job.Render, job.Today = i.agent.options.Render, time.Now().UTC().Format(time.DateOnly)
	text, err := json.Marshal(job)
	if err != nil {
		return check.Answer{}, err
	}
	key := sha256.Sum256(append(text, of.files.commit+" "+other.files.commit...))
	if a, ok := i.known(key); ok {
		return a, nil
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return check.Answer{}, context.Cause(ctx)
	}
	if a, ok := i.known(key); ok {
		return a, nil
	}
	a, err := i.work(ctx, job, of, other)
	if errors.As(err, new(*child.LimitError)) { // it would need as much the next time
		a, err = check.Answer{Error: err.Error()}, nil
	}
	if err == nil {
		err = i.keep(key, a)
	}
	return a, err
}

// work does a job in a process of its own.
func (i *inspector) work(ctx context.Context, job check.Job, of, other *openCommit) (check.Answer, error) {
	var a check.Answer
	err := inRounds(func() (bool, error) {
		text, err := i.agent.children.Do(ctx, task{Check: &job}, nil)
		if err != nil {
			return false, nameLimit(err)
		}
		if len(text) > maxInspected {
			a = check.Answer{Error: fmt.Sprintf("the answer has more than %d MiB", maxInspected>>20)}
			return true, nil
		}
		a = check.Answer{}
		if err := utiljson.Unmarshal(text, &a); err != nil {
			return false, err
		}
		done, err := of.files.complete(ctx, of.source.Path, append(a.Touched, of.scripts...))
		if err != nil {
			return false, err
		}
		both, err := other.files.complete(ctx, other.source.Path, a.TouchedOther)
		return done && both, err
	})
	if err != nil {
		return check.Answer{}, err
	}
	a.Error, a.Touched, a.TouchedOther = of.files.explain(a.Error), nil, nil
	return a, nil
}

func (i *inspector) known(key [sha256.Size]byte) (a check.Answer, ok bool) {
	i.mu.Lock()
	text := i.all[key]
	i.mu.Unlock()
	return a, text != nil && utiljson.Unmarshal(text, &a) == nil
}

func (i *inspector) keep(key [sha256.Size]byte, a check.Answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all == nil || i.size+len(text) > maxKept {
		i.all, i.size = map[[sha256.Size]byte][]byte{}, 0
	}
	i.all[key] = text
	i.size += len(text)
	return nil
}

// scriptsOf are the files of a project that check reads beside manifests: a process that finds one missing
// cannot say so.
func scriptsOf(s *snapshot, dir string) (all []tree.Read) {
	for name := range s.entries {
		below, ok := strings.CutPrefix(name, strings.TrimPrefix(path.Clean(dir)+"/", "./"))
		if ok && check.IsScript(below) {
			all = append(all, tree.Read{Kind: tree.File, Path: below})
		}
	}
	return all
}

// projectOf returns the project as a commit has it, with the namespace that the agent deploys an environment
// to.
func (o *openCommit) projectOf(e *environment) project.Project {
	p := o.source.Project
	p.Environments = slices.Clone(p.Environments)
	for i, env := range p.Environments {
		if env.Name == e.name {
			p.Environments[i].Namespace = cmp.Or(e.policy.Namespace, env.Namespace)
		}
	}
	return p
}

func answered(a check.Answer, err error) error {
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return err
}

// explain is why a field has its value at the commit that the environment has taken.
func (i *inspector) explain(
	ctx context.Context, src project.Source, env project.Environment, q origin.Question,
) (origin.Chain, error) {
	e, o, err := i.commits.find(ctx, src.Project.Name, env.Name)
	if err != nil {
		return origin.Chain{}, err
	}
	a, err := i.inspect(ctx, check.Job{Project: o.projectOf(e), Environment: env.Name, Why: &q}, o, o)
	return a.Chain, answered(a, err)
}

// compare is how an environment differs from another one, each at the commit that it has taken.
func (i *inspector) compare(
	ctx context.Context, src project.Source, from, to string,
) (contract.Result, error) {
	e, o, err := i.commits.find(ctx, src.Project.Name, from)
	if err != nil {
		return contract.Result{}, err
	}
	f, other, err := i.commits.find(ctx, src.Project.Name, to)
	if err != nil {
		return contract.Result{}, err
	}
	a, err := i.inspect(ctx, check.Job{Project: o.projectOf(e), Environment: from,
		Compare: &check.Other{Project: other.projectOf(f), Environment: to}}, o, other)
	if o != other {
		a.Result.Notes = append(a.Result.Notes, fmt.Sprintf("%s is at commit %s, and %s at commit %s", from,
			short(o.files.commit), to, short(other.files.commit)))
	}
	return a.Result, answered(a, err)
}

// findings are what check finds in the environments that the agent keeps, each at the commit that it has
// taken.
func (i *inspector) findings(ctx context.Context, src project.Source) (all finding.Outcome, err error) {
	at, mirrors := map[*openCommit][]string{}, map[*openCommit]*mirror{}
	var commits []*openCommit
	for _, env := range src.Project.Environments {
		e, o, err := i.commits.find(ctx, src.Project.Name, env.Name)
		if err != nil {
			return all, err
		}
		if at[o] == nil {
			commits = append(commits, o)
			mirrors[o] = e.mirror
		}
		at[o] = append(at[o], env.Name)
	}
	for _, o := range commits {
		a, err := i.inspect(ctx, check.Job{Project: o.source.Project, Past: mirrors[o].filesBefore(ctx, o)}, o, o)
		if err := answered(a, err); err != nil {
			return all, fmt.Errorf("check commit %s: %w", short(o.files.commit), err)
		}
		for _, f := range a.Findings {
			var concerns bool
			if f.Environments, concerns = among(f.Environments, at[o], len(at) == 1); concerns {
				all.Findings = append(all.Findings, f)
			}
		}
		for _, left := range a.Unchecked {
			var concerns bool
			if left.Environments, concerns = among(left.Environments, at[o], len(at) == 1); concerns {
				all.Unchecked = append(all.Unchecked, left)
			}
		}
	}
	return all, nil
}

// among returns those of some environments, the ones that a finding is about, that have taken the commit in
// which it was found, and whether it concerns them. A finding about none in particular is about those, and
// needs no names where all environments have taken the same commit.
func among(about, taken []string, onlyCommit bool) (kept []string, concerns bool) {
	if len(about) == 0 {
		if onlyCommit {
			return nil, true
		}
		return taken, true
	}
	kept = keep(about, func(name string) bool { return slices.Contains(taken, name) })
	return kept, len(kept) > 0
}
