package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/agent/child"
	"slipway/internal/check"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/render/tree"
)

// task is what a process of its own does with the files of a repository: open the project, or a job of
// deploy, promote or check.
type task struct {
	Open    *place       `json:"open,omitempty"`
	Job     *deploy.Job  `json:"job,omitempty"`
	Promote *promote.Job `json:"promote,omitempty"`
	Check   *check.Job   `json:"check,omitempty"`
	// Project names the project of Job. A process that does not have it from its last task asks for it: that of
	// a thousand environments takes longer to send than to render one.
	Project string `json:"project,omitempty"`
}

// place is a project's directory below a root.
type place struct {
	Root string `json:"root"`
	Dir  string `json:"dir"`
}

// openAnswer is a project, or why it cannot be read.
type openAnswer struct {
	Project project.Project `json:"project"`
	Error   string          `json:"error,omitempty"`
}

// question is a chart's lookup, or asks for the project of the task.
type question struct {
	APIVersion, Kind, Namespace, Name string
	Project                           bool
}

// Worker does tasks, one after another.
type Worker struct {
	name    string // of project
	project project.Project
}

// Work does one task. It is the handler of child.Serve.
func (w *Worker) Work(ctx context.Context, text json.RawMessage, ask func(question, answer any) error) (
	answer any, last bool,
) {
	var t task
	if err := utiljson.Unmarshal(text, &t); err != nil {
		return openAnswer{Error: err.Error()}, true
	}
	if t.Open != nil {
		p, err := project.OpenBelow(t.Open.Root, t.Open.Dir)
		if err != nil {
			return openAnswer{Error: err.Error()}, true
		}
		return openAnswer{Project: p}, false
	}
	if t.Promote != nil {
		t.Promote.Render.Env = os.LookupEnv
		a := promote.Work(ctx, *t.Promote)
		return a, a.Error != ""
	}
	if t.Check != nil {
		t.Check.Render.Env = os.LookupEnv
		a := check.Work(ctx, *t.Check)
		return a, a.Error != ""
	}
	if err := w.recall(t.Project, ask); err != nil {
		return deploy.Answer{Error: fmt.Sprintf("read the project: %v", err)}, true
	}
	t.Job.Source.Project, t.Job.Render.Env = w.project, os.LookupEnv
	a := deploy.Work(ctx, *t.Job, func(apiVersion, kind, namespace, name string) (map[string]any, error) {
		var object map[string]any
		err := ask(question{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}, &object)
		return object, err
	})
	// A template that was given up goes on in this process.
	return a, a.Error != ""
}

// recall makes the named project the present one.
func (w *Worker) recall(name string, ask func(question, answer any) error) error {
	if name == w.name {
		return nil
	}
	var text json.RawMessage
	var p project.Project
	if err := ask(question{Project: true}, &text); err != nil {
		return err
	}
	if err := utiljson.Unmarshal(text, &p); err != nil { // whole numbers as values have them
		return err
	}
	w.name, w.project = name, p
	return nil
}

// open reads a project in a process of its own.
func open(ctx context.Context, p *child.Pool, root, dir string) (project.Project, error) {
	text, err := p.Do(ctx, task{Open: &place{root, dir}}, nil)
	if err != nil {
		return project.Project{}, nameLimit(err)
	}
	var a openAnswer
	if err := utiljson.Unmarshal(text, &a); err != nil {
		return project.Project{}, err
	}
	if a.Error != "" {
		return project.Project{}, errors.New(a.Error)
	}
	return a.Project, nil
}

// work does a job in a process of its own.
func work(
	ctx context.Context, p *child.Pool, job deploy.Job, of projectText, lookup deploy.LookupFunc,
) (deploy.Answer, error) {
	var a deploy.Answer
	job.Source.Project = project.Project{}
	text, err := p.Do(ctx, task{Job: &job, Project: of.name}, func(asked json.RawMessage) (any, error) {
		var q question
		if err := json.Unmarshal(asked, &q); err != nil {
			return nil, err
		}
		if q.Project {
			return of.text, nil
		}
		if lookup == nil {
			return nil, fmt.Errorf("look up %s %s: this render has no cluster", q.Kind, q.Name)
		}
		return lookup(q.APIVersion, q.Kind, q.Namespace, q.Name)
	})
	if err == nil {
		err = utiljson.Unmarshal(text, &a)
	}
	return a, nameLimit(err)
}

// nameLimit adds the key of the configuration to the error of a limit.
func nameLimit(err error) error {
	var exceeded *child.LimitError
	key := ""
	switch {
	case errors.As(err, &exceeded) && exceeded.Time > 0:
		key = "renderTime"
	case exceeded != nil:
		key = "renderMemory"
	case errors.Is(err, git.ErrTooLarge):
		key = "cloneSize"
	default:
		return err
	}
	return fmt.Errorf("%w: raise limits.%s of the agent if the repository needs more", err, key)
}

// maxRounds is more than any real project needs: one where a file names another one needs two.
const maxRounds = 50

// inRounds does a job again until all files that it looked at were there: see snapshot.complete.
func inRounds(round func() (done bool, err error)) error {
	for range maxRounds {
		if done, err := round(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("gave up after %d renders: each read files that the one before had not named", maxRounds)
}

// isolate does jobs with the files of a snapshot, of which more are fetched as a job needs them. What the
// last job looked at is put into reads.
func (e entry) isolate(s *snapshot, reads *[]tree.Read) func(
	context.Context, deploy.Job, deploy.LookupFunc,
) (deploy.Answer, error) {
	return func(ctx context.Context, job deploy.Job, lookup deploy.LookupFunc) (deploy.Answer, error) {
		var a deploy.Answer
		err := inRounds(func() (done bool, err error) {
			e.agent.counters.update(func(c *counters) { c.renders[e.name]++ })
			job.Source.Ancestors = nil
			of, err := s.projects.textOf(job.Source.Project)
			if err != nil {
				return false, err
			}
			if a, err = work(ctx, e.agent.children, job, of, lookup); err != nil {
				return false, err
			}
			return s.complete(ctx, job.Source.Path, a.Touched)
		})
		if err != nil {
			return deploy.Answer{}, err
		}
		a.Error = s.explain(a.Error)
		s.bundle.relocate(&a)
		if len(job.Blame) == 0 {
			*reads = a.Touched
		}
		return a, nil
	}
}
