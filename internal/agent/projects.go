package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"sync"

	"slipway/internal/project"
)

// projects are the projects of a commit, each read once for all environments. Any goroutine may use them.
type projects struct {
	mu     sync.Mutex
	opened map[string]opened // by directory
	texts  []projectText
}

// opened is a project that was read, or why that failed.
type opened struct {
	source project.Source
	err    error
}

// open returns the project of a directory, which a function reads the first time.
func (p *projects) open(
	ctx context.Context, dir string, read func() (project.Source, error),
) (project.Source, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, known := p.opened[dir]; known {
		return o.source, o.err
	}
	src, err := read()
	if ctx.Err() == nil { // an interrupted read says nothing about the project
		p.opened[dir] = opened{src, err}
	}
	return src, err
}

// projectText is a project as another process gets it. The name is a digest of the text.
type projectText struct {
	project project.Project
	name    string
	text    json.RawMessage
}

// textOf returns the text of a project.
func (p *projects) textOf(of project.Project) (projectText, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.texts {
		if reflect.DeepEqual(t.project, of) { // at once: they share their parts
			return t, nil
		}
	}
	text, err := json.Marshal(of)
	if err != nil {
		return projectText{}, err
	}
	sum := sha256.Sum256(text)
	t := projectText{of, hex.EncodeToString(sum[:]), text}
	p.texts = append(p.texts, t)
	return t, nil
}
