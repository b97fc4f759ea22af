package check

import (
	"path"

	"slipway/internal/check/finding"
	"slipway/internal/check/workflow"
)

// workflows is where GitHub looks for them.
const workflows = ".github/workflows"

// checkWorkflows reads what CI does with the environments that were rendered.
func checkWorkflows(r *run) {
	if !r.view.IsFolder(workflows) {
		return
	}
	entries, err := r.view.Folder(workflows)
	if err != nil {
		r.unchecked(finding.Unchecked{Place: finding.Place{File: workflows}, What: "the workflows",
			Why: err.Error()})
	}
	var files []workflow.File
	for _, e := range entries {
		name := path.Join(workflows, e.Name())
		if extension := path.Ext(name); e.IsDir() || extension != ".yml" && extension != ".yaml" {
			continue
		}
		text, err := r.view.File(name)
		if err != nil {
			r.unchecked(finding.Unchecked{Place: finding.Place{File: name}, What: "the workflow", Why: err.Error()})
			continue
		}
		files = append(files, workflow.File{Name: name, Text: text})
	}
	p := workflow.Project{Read: func(name string) ([]byte, bool) {
		if !r.view.IsFile(name) {
			return nil, false
		}
		text, err := r.view.File(name)
		return text, err == nil
	}}
	for _, env := range r.envs {
		p.Environments = append(p.Environments, workflow.Environment{Name: env.Name,
			Class: env.Class, Set: env.set})
	}
	findings, unchecked := workflow.Check(files, p)
	for _, f := range findings {
		r.find(f)
	}
	for _, u := range unchecked {
		r.unchecked(u)
	}
}
