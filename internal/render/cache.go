package render

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// Text is an environment's set as YAML.
type Text struct {
	YAML     []byte
	Objects  int
	Warnings []string
}

// entry is a Text as it is kept, before the YAML, on a line of its own.
type entry struct {
	Reads    []tree.Seen `json:"reads"`
	Objects  int         `json:"objects"`
	Warnings []string    `json:"warnings,omitempty"`
}

// Text renders an environment to YAML, from the cache where nothing that was consulted has changed.
// Decrypted values are hidden, unless show says otherwise.
func (r *Renderer) Text(ctx context.Context, env project.Environment, show bool) (Text, error) {
	file := r.entryFile(env)
	if t, ok := r.kept(file); ok {
		return t, nil
	}
	result, err := r.Render(ctx, env)
	if err != nil {
		return Text{}, err
	}
	concealed := result.Set.Concealed()
	objects := result.Set.Objects()
	if !show {
		objects = object.HideAll(objects, concealed)
	}
	var yaml bytes.Buffer
	if err := object.WriteYAML(&yaml, objects); err != nil {
		return Text{}, &Error{Environment: env.Name, Err: err}
	}
	t := Text{YAML: yaml.Bytes(), Objects: len(objects), Warnings: result.Remarks()}
	if len(concealed) == 0 && len(result.Unstable) == 0 { // decrypted values are never written
		r.keep(file, t, result.Reads)
	}
	return t, nil
}

// entryFile is the cache file, named by everything beside the tree that a result depends on. Empty: the
// result is not cached.
func (r *Renderer) entryFile(env project.Environment) string {
	o := r.options
	if o.Cache == "" || o.Version == "" || r.lookup != nil || env.Skaffold != nil {
		return ""
	}
	env.Line = 0
	key, err := json.Marshal([]any{o.Version, r.tree.Dir(), o.Remotes, env})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return filepath.Join(o.Cache, "render", hex.EncodeToString(sum[:16]))
}

// kept returns a cached result whose reads have not changed. A result that cannot be read is ignored.
func (r *Renderer) kept(file string) (Text, bool) {
	if file == "" {
		return Text{}, false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Text{}, false
	}
	head, yaml, found := bytes.Cut(text, []byte("\n"))
	var e entry
	if !found || json.Unmarshal(head, &e) != nil || !r.tree.Same(e.Reads) {
		return Text{}, false
	}
	return Text{YAML: yaml, Objects: e.Objects, Warnings: e.Warnings}, true
}

// keep caches a result. A failure only costs the time of another render.
func (r *Renderer) keep(file string, t Text, reads tree.Reads) {
	if file == "" {
		return
	}
	head, err := json.Marshal(entry{Reads: reads.List(), Objects: t.Objects, Warnings: t.Warnings})
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	sweep(filepath.Dir(file))
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return
	}
	defer os.Remove(tmp.Name())
	_, err = (&net.Buffers{head, []byte("\n"), t.YAML}).WriteTo(tmp)
	if tmp.Close() == nil && err == nil {
		_ = os.Rename(tmp.Name(), file)
	}
}

// Results that are older are rendered again.
const maxAge = 30 * 24 * time.Hour

// sweep removes old results: those of other versions and of deleted projects.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > maxAge {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
