package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/release"
)

// running is one image of an environment, by what it was built from.
type running struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	// Commit is what the image says, or where it says nothing the release's.
	Commit string `json:"commit,omitempty"`
	// Labelled: the image says it.
	Labelled bool   `json:"labelled"`
	Subject  string `json:"subject,omitempty"`
}

// lag compares an environment with one before it.
type lag struct {
	Environment string `json:"environment"`
	// Commits are those that it has not yet, Ahead those that the other has not.
	Commits int `json:"commits"`
	Ahead   int `json:"ahead,omitempty"`
	// SameImages: only the manifests are older.
	SameImages bool `json:"sameImages,omitempty"`
}

// askTime is how long status asks registries.
const askTime = 5 * time.Second

// commitsOf asks the registry which commits a release's images were built from. A registry that does not
// answer leaves the release's own commit.
func commitsOf(ctx context.Context, rel release.Release, o image.Options) ([]running, []string) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	list, notes := make([]running, len(rel.Images)), make([]string, len(rel.Images))
	var all sync.WaitGroup
	for i, pin := range rel.Images {
		list[i] = running{Image: pin.Name, Digest: pin.Digest, Commit: rel.Commit}
		all.Go(func() {
			commit, err := image.Revision(ctx, pin, o)
			switch {
			case err != nil:
				notes[i] = fmt.Sprintf("what commit %s is of was not to be learned: %v", pin.Name, err)
			case commit == "":
				notes[i] = fmt.Sprintf("%s does not say which commit it is of", pin.Name)
			default:
				list[i].Commit, list[i].Labelled = commit, true
			}
		})
	}
	all.Wait()
	return list, slices.DeleteFunc(notes, func(n string) bool { return n == "" })
}

// place looks the commits up in Git, and each environment's against those of the nearest one before it
// that runs something.
func (a *app) place(ctx context.Context, board []standing) {
	repository, err := git.Open(ctx, a.dir)
	if err != nil {
		return // that there is no Git here has been said
	}
	before := -1
	for i := range board {
		s := &board[i]
		if s.Release == nil || s.Release.Status == release.Deleted {
			continue
		}
		s.lookUp(ctx, repository)
		if before >= 0 {
			s.against(ctx, repository, board[before])
		}
		before = i
	}
}

// lookUp reads the commits' subjects, and says what of them is not here or not the release's.
func (s *standing) lookUp(ctx context.Context, repository git.Repository) {
	unknown := []string{}
	if s.Release.Commit != "" && !repository.Exists(ctx, s.Release.Commit) {
		unknown = append(unknown, s.Release.Commit)
	}
	for i := range s.Running {
		r := &s.Running[i]
		if !r.Labelled {
			continue
		}
		c, found := repository.Find(ctx, r.Commit)
		r.Subject = c.Subject
		if !found && !slices.Contains(unknown, r.Commit) {
			unknown = append(unknown, r.Commit)
		}
		if r.Commit != s.Release.Commit {
			s.Notes = append(s.Notes, strings.TrimSpace(fmt.Sprintf("runs %s of commit %s, release %d is of %s",
				r.Image, strings.TrimSpace(short(r.Commit)+" "+r.Subject), s.Release.Revision, cmp.Or(short(s.Release.Commit), "none"))))
		}
	}
	why := "another repository's, or not fetched yet"
	if repository.IsShallow(ctx) {
		why = "this is a shallow clone: `git fetch --unshallow`"
	}
	for _, commit := range unknown {
		s.Notes = append(s.Notes, fmt.Sprintf("commit %s is not in this repository (%s)", short(commit), why))
	}
}

// against counts how far an environment is behind another: by the commits of the images that both have,
// and where these are the same by those of the releases.
func (s *standing) against(ctx context.Context, repository git.Repository, other standing) {
	b := lag{Environment: other.Environment}
	compare := func(own, others string) bool {
		if own == "" || others == "" || own == others {
			return own != ""
		}
		more, less, err := repository.Between(ctx, own, others)
		b.Commits, b.Ahead = max(b.Commits, more), max(b.Ahead, less)
		return err == nil
	}
	for _, r := range s.Running {
		i := slices.IndexFunc(other.Running, func(o running) bool { return o.Image == r.Image })
		if i >= 0 && !compare(r.Commit, other.Running[i].Commit) {
			return // a commit that is not here; lookUp has said so
		}
	}
	if b.Commits == 0 && b.Ahead == 0 {
		if !compare(s.Release.Commit, other.Release.Commit) {
			return
		}
		b.SameImages = len(s.Running) > 0 && (b.Commits > 0 || b.Ahead > 0)
	}
	s.Behind = &b
	var parts []string
	if b.Commits > 0 {
		parts = append(parts, count(b.Commits, "commit")+" behind "+other.Environment)
	}
	if b.Ahead > 0 {
		parts = append(parts, count(b.Ahead, "commit")+" ahead of "+other.Environment)
	}
	if len(parts) == 0 {
		return
	}
	text := strings.Join(parts, ", ")
	if b.SameImages {
		text += ", with images of the same commit"
	}
	s.Notes = append(s.Notes, text)
}
