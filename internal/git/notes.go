package git

import (
	"context"
	"errors"
	"strings"
)

// notesRef is where Slipway keeps notes about commits. Git's own commands show them with --notes=slipway.
const notesRef = "refs/notes/slipway"

// FetchNotes makes the notes here those of a remote. One without notes has none.
func (r Repository) FetchNotes(ctx context.Context, remote string) error {
	_, err := r.runRemote(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-filter", remote,
		"+"+notesRef+":"+notesRef)
	if err != nil && strings.Contains(err.Error(), "couldn't find remote ref") {
		_, err = r.run(ctx, "update-ref", "-d", notesRef)
	}
	return err
}

// Note returns the note about a commit; empty: there is none.
func (r Repository) Note(ctx context.Context, commit string) (string, error) {
	out, err := r.runRemote(ctx, "notes", "--ref="+notesRef, "show", commit)
	if failed := (*Error)(nil); errors.As(err, &failed) && strings.Contains(failed.Stderr, "no note found") {
		return "", nil
	}
	return out, err
}

// ChangeNote replaces the note about a commit, and pushes the notes, never by force. It fails with ErrMoved
// where others have pushed notes since FetchNotes.
func (r Repository) ChangeNote(ctx context.Context, remote, commit, text string, by Person) error {
	note := command{
		dir: r.Dir, access: r.access, env: by.environment(), stdin: strings.NewReader(text), remote: true,
	}
	if _, err := note.run(ctx, "notes", "--ref="+notesRef, "add", "--force", "--file=-", commit); err != nil {
		return err
	}
	return r.Push(ctx, Upstream{Branch: "notes", Remote: remote, Ref: notesRef}, notesRef)
}
