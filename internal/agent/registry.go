package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/image/signature"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/bundle"
)

const fileMode = "100644"

// isBundle says that the entry is a rendered set in a registry, and not a Git repository.
func (r *Repository) isBundle() bool { return strings.HasPrefix(r.URL, image.Scheme) }

// completeBundle checks the keys of an entry that is a rendered set. Its branch is the tag: without one in
// the URL it is the name of the environment, as `slipway render --push` has it.
func (r *Repository) completeBundle() error {
	pin, err := image.ParseArtifact(r.URL)
	name := ""
	for name = range r.Environments {
	}
	switch {
	case err != nil:
		return err
	case len(r.Environments) != 1:
		return fmt.Errorf("environments: a rendered set has one environment, not %d", len(r.Environments))
	case len(r.Keys) == 0:
		return errors.New("keys is missing: name the files with the public keys of `slipway render --push --sign`")
	}
	e := r.Environments[name]
	for _, k := range []struct {
		key string
		set bool
	}{
		{"branch", r.Branch != ""}, {"path", r.Path != ""}, {"submodules", r.Submodules != ""},
		{"signers", r.Signers != nil}, {"forge", r.Forge != nil}, {"verdicts", r.Verdicts != nil},
		{"environments." + name + ".writeBack", cmp.Or(e.WriteBack, Never) != Never},
		{"environments." + name + ".promote", cmp.Or(e.Promote, Never) != Never},
	} {
		if k.set {
			return fmt.Errorf("%s: a rendered set is not a Git repository, so that nothing can be read from its "+
				"history or written back to it: remove the key", k.key)
		}
	}
	if r.Credentials != nil {
		return errors.New("credentials: registries have those of Docker's configuration: set DOCKER_CONFIG to a " +
			"directory with a config.json, and remove the key")
	}
	pin.Tag = cmp.Or(pin.Tag, name)
	r.URL, r.Branch = image.Scheme+pin.Reference(), pin.Tag
	return nil
}

// registry polls a tag that names rendered sets.
type registry struct {
	pin    image.Pin
	keys   []string
	name   string // of the environment
	client *image.Client

	// The remote's lock is held for these.
	last *pulled
}

// pulled is a rendered set as it was read, once its signature was verified.
type pulled struct {
	bundle.Bundle
	digest   string
	signedBy string
}

func newRegistry(r Repository) *registry {
	pin, _ := image.ParseArtifact(r.URL) // completeBundle has parsed it
	s := &registry{pin: pin, keys: r.Keys, client: image.NewClient(nil)}
	for s.name = range r.Environments {
	}
	return s
}

// poll asks what the tag names, with one request, and reads that where it is new.
func (s *registry) poll(ctx context.Context) map[string]tip {
	digest, err := s.client.Tagged(ctx, s.pin)
	if err == nil && digest == "" {
		err = fmt.Errorf("%s does not exist: run `slipway render %s --push %s%s --sign`", s.pin.Reference(), s.name,
			image.Scheme, s.pin.Reference())
	}
	if err == nil && (s.last == nil || s.last.digest != digest) {
		var got *pulled
		if got, err = s.pull(ctx, digest); err == nil {
			s.last = got
		}
	}
	if err != nil {
		return map[string]tip{s.pin.Tag: {err: err}}
	}
	return map[string]tip{s.pin.Tag: {commit: s.last.Source.Commit, digest: digest}}
}

// pull verifies the signature of a rendered set, and then reads it.
func (s *registry) pull(ctx context.Context, digest string) (*pulled, error) {
	pin := s.pin
	pin.Digest = digest
	var may []project.Signature
	for _, file := range s.keys {
		may = append(may, project.Signature{Key: file})
	}
	by, err := signature.Authorities(may, os.ReadFile)
	if err != nil {
		return nil, err
	}
	o := image.Options{Client: image.NewClient(nil)} // one that remembers manifests for this set alone
	who, err := image.Signed(ctx, pin, nil, by, o)
	if err != nil {
		return nil, err
	}
	a, err := image.PullArtifact(ctx, pin, image.Artifact{
		Type: bundle.ArtifactType, LayerType: bundle.LayerType,
	}, bundle.MaxArchive, o)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Unpack(bytes.NewReader(a.Layer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pin.Reference(), err)
	}
	if is := b.Environment().Name; is != s.name {
		return nil, fmt.Errorf("%s is environment %s of %s, not %s", pin.Reference(), is, b.Project.Name, s.name)
	}
	return &pulled{Bundle: b, digest: digest, signedBy: who}, nil
}

// signer returns who has signed the set of a commit.
func (s *registry) signer(commit string) (string, error) {
	if s.last == nil || s.last.Source.Commit != commit {
		return "", fmt.Errorf("%s names another commit than %s by now", s.pin.Reference(), short(commit))
	}
	return s.last.signedBy, nil
}

// snapshot has the files of the set of a commit. The caller gives it back.
func (s *registry) snapshot(ctx context.Context, commit string) (*snapshot, error) {
	if _, err := s.signer(commit); err != nil {
		return nil, err
	}
	is := s.last
	of, blobs := content{}, map[string][]byte{}
	directories := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(is.Files)) {
		sum := sha256.Sum256(is.Files[name])
		e := git.Entry{Path: name, Mode: fileMode, Hash: hex.EncodeToString(sum[:])}
		of.entries, blobs[e.Hash] = append(of.entries, e), is.Files[name]
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	for dir := range directories {
		of.entries = append(of.entries, git.Entry{Path: dir, Mode: git.ModeDirectory})
	}
	temporary, err := os.MkdirTemp("", "slipway-set-")
	if err != nil {
		return nil, err
	}
	fetch := func(_ context.Context, hashes []string, each func(string, []byte, int64) error) error {
		for _, h := range hashes {
			if err := each(h, blobs[h], int64(len(blobs[h]))); err != nil {
				return err
			}
		}
		return nil
	}
	made, err := newSnapshot(ctx, commit, filepath.Join(temporary, is.Project.Name), of, fetch)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	made.users, made.bundle = 1, is
	return made, nil
}

// source is what a commit of Git is read to. Its project's files are below root.
func (p *pulled) source(root string) project.Source {
	src := p.Source
	src.Project = p.Project
	src.Project.Dir = root
	return src
}

// relocate has an answer name the lines of the repository that the set was rendered from. A nil set changes
// nothing.
func (p *pulled) relocate(a *deploy.Answer) {
	if p == nil {
		return
	}
	for i, o := range a.Objects {
		a.Objects[i].Origin = p.At(o.Origin)
	}
	for i, at := range a.Places {
		if at != nil {
			place := p.At(*at)
			a.Places[i] = &place
		}
	}
	for _, list := range [][]finding.Finding{a.Review.Blocking, a.Review.Found} {
		for i, f := range list {
			at := p.At(object.Origin{File: f.Place.File, Line: f.Place.Line})
			if at.File != f.Place.File {
				list[i].Place = finding.At(at)
			}
		}
	}
}

// loses says that a commit does not contain an earlier one of its branch.
func (m *mirror) loses(ctx context.Context, earlier string, src project.Source) (bool, error) {
	if src.Bundled {
		return src.Commit != earlier && !slices.Contains(src.Ancestors, earlier), nil
	}
	_, lost, err := m.repository().Between(ctx, earlier, src.Commit)
	return lost > 0, err
}

// askedToWait is how long a registry asks to wait before the next poll; 0: it does not.
func askedToWait(tips map[string]tip) time.Duration {
	var longest time.Duration
	for _, t := range tips {
		if limited, ok := errors.AsType[*image.RateLimitedError](t.err); ok {
			longest = max(longest, limited.Wait)
		}
	}
	return longest
}
