package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/git"
	"slipway/internal/words"
)

// compareCommits adds the commits of a board from Git, and compares each environment with the nearest
// deployed one before it.
func compareCommits(ctx context.Context, r git.Repository, board []Standing) {
	before := -1
	for i := range board {
		s := &board[i]
		if !s.Deployed() {
			continue
		}
		addSubjects(ctx, r, s)
		if before >= 0 {
			compareWith(ctx, r, s, board[before])
		}
		before = i
	}
}

// addSubjects adds the subjects of the commits. It notes commits that Git does not have, and images that were
// built from another commit than the release.
func addSubjects(ctx context.Context, r git.Repository, s *Standing) {
	var unknown []string
	if s.Release.Commit != "" && !r.Exists(ctx, s.Release.Commit) {
		unknown = append(unknown, s.Release.Commit)
	}
	for i := range s.Running {
		run := &s.Running[i]
		if !run.Labelled {
			continue
		}
		c, found := r.Find(ctx, run.Commit)
		run.Subject = c.Subject
		if !found && !slices.Contains(unknown, run.Commit) {
			unknown = append(unknown, run.Commit)
		}
		if run.Commit != s.Release.Commit {
			commit := strings.TrimSpace(git.Short(run.Commit) + " " + run.Subject)
			s.Notes = append(s.Notes, fmt.Sprintf("runs %s of commit %s, release %d is of %s",
				run.Image, commit, s.Release.Revision, cmp.Or(git.Short(s.Release.Commit), "none")))
		}
	}
	why := "it is from another repository, or is not fetched yet"
	if r.IsShallow(ctx) {
		why = "this is a shallow clone: `git fetch --unshallow`"
	}
	for _, commit := range unknown {
		s.Notes = append(s.Notes, fmt.Sprintf("commit %s is not in this repository (%s)", git.Short(commit), why))
	}
}

// compareWith counts how far an environment is behind another: by the commits of the images that both run, or
// by those of the releases when these are the same.
func compareWith(ctx context.Context, r git.Repository, s *Standing, other Standing) {
	b := Lag{Environment: other.Environment}
	count := func(own, others string) bool {
		if own == "" || others == "" || own == others {
			return own != ""
		}
		lacks, ahead, err := r.Between(ctx, own, others)
		if err == nil && lacks > b.Commits {
			b.Waiting, err = r.Log(ctx, own, others)
			b.Waiting = b.Waiting[:min(len(b.Waiting), maxWaiting)]
		}
		b.Commits, b.Ahead = max(b.Commits, lacks), max(b.Ahead, ahead)
		return err == nil
	}
	for _, run := range s.Running {
		i := slices.IndexFunc(other.Running, func(o Running) bool { return o.Image == run.Image })
		if i >= 0 && !count(run.Commit, other.Running[i].Commit) {
			return // Git does not have one of the commits, which addSubjects has noted
		}
	}
	if b.Commits == 0 && b.Ahead == 0 {
		if !count(s.Release.Commit, other.Release.Commit) {
			return
		}
		b.SameImages = len(s.Running) > 0 && (b.Commits > 0 || b.Ahead > 0)
	}
	s.Behind = &b
	if text := distance(b); text != "" {
		s.Notes = append(s.Notes, text)
	}
}

// distance returns "2 commits behind staging, 1 commit ahead of staging", or nothing.
func distance(b Lag) string {
	var parts []string
	if b.Commits > 0 {
		parts = append(parts, commits(b.Commits)+" behind "+b.Environment)
	}
	if b.Ahead > 0 {
		parts = append(parts, commits(b.Ahead)+" ahead of "+b.Environment)
	}
	text := strings.Join(parts, ", ")
	if b.SameImages {
		text += ", with images of the same commit"
	}
	return text
}

func commits(n int) string { return words.Count(n, "commit") }
