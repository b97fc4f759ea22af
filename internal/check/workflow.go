package check

import (
	"context"
	"path"

	"slipway/internal/check/finding"
	"slipway/internal/check/workflow"
)

// workflowFolder is where GitHub looks for workflows.
const workflowFolder = ".github/workflows"

// workflows checks what CI does with the environments.
func workflows(_ context.Context, s *subject) found {
	var all found
	if !s.isFolder(workflowFolder) {
		return all
	}
	skip := func(name, what string, err error) {
		all.unchecked = append(all.unchecked, finding.Unchecked{
			Place: finding.Place{File: name}, What: what, Why: err.Error()})
	}
	entries, err := s.view.Directory(workflowFolder)
	if err != nil {
		skip(workflowFolder, "the workflows", err)
	}
	var files []workflow.File
	for _, e := range entries {
		name := path.Join(workflowFolder, e.Name())
		if extension := path.Ext(name); e.IsDir() || extension != ".yml" && extension != ".yaml" {
			continue
		}
		text, err := s.view.File(name)
		if err != nil {
			skip(name, "the workflow", err)
			continue
		}
		files = append(files, workflow.File{Name: name, Text: text})
	}
	p := workflow.Project{Document: s.document, Read: func(name string) ([]byte, bool) {
		if !s.isFile(name) {
			return nil, false
		}
		text, err := s.view.File(name)
		return text, err == nil
	}}
	for _, e := range s.envs {
		p.Environments = append(p.Environments, workflow.Environment{Name: e.Name, Class: e.Class, Set: e.Set})
	}
	findings, unchecked := workflow.Check(files, p)
	all.findings = findings
	all.unchecked = append(all.unchecked, unchecked...)
	return all
}
