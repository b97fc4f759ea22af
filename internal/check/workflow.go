package check

import (
	"context"
	"io/fs"
	"path"

	"slipway/internal/check/finding"
	"slipway/internal/check/workflow"
)

// workflowFolder is where GitHub looks for workflows.
const workflowFolder = ".github/workflows"

// workflows checks what CI does with the environments.
func workflows(_ context.Context, s *subject) found {
	read, all := s.pipelines()
	findings, unchecked := read.Check()
	all.findings = findings
	all.unchecked = append(all.unchecked, unchecked...)
	return all
}

// pipelines reads the workflows once, and returns beside them what it could not read.
func (s *subject) pipelines() (*workflow.Pipelines, found) {
	if s.read == nil {
		s.read, s.unread = readPipelines(s)
	}
	return s.read, s.unread
}

func readPipelines(s *subject) (*workflow.Pipelines, found) {
	var all found
	skip := func(name, what string, err error) {
		all.unchecked = append(all.unchecked, finding.Unchecked{
			Place: finding.Place{File: name}, What: what, Why: err.Error()})
	}
	var entries []fs.DirEntry
	if s.isFolder(workflowFolder) {
		var err error
		if entries, err = s.view.Directory(workflowFolder); err != nil {
			skip(workflowFolder, "the workflows", err)
		}
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
	return workflow.Read(files, p), all
}
