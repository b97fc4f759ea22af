package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Reversion is what Revert takes back: what changed in some files from Good to Bad. Head has more commits.
type Reversion struct {
	Head, Bad, Good string
	Files           []string
}

// Conflict is lines of a file that changed from Good to Bad, and again from Bad to Head.
type Conflict struct {
	File string
	// Line is where Good's lines begin in the commit of the revert; 0: the whole file is undecided.
	Line int
	// Head and Good are the lines in these two commits; empty where they do not have any.
	Head, Good string
}

// Message returns the message of a commit that leaves some conflicts.
type Message = func([]Conflict) string

// Revert makes a commit on top of Head that takes back what changed, and keeps what changed after Bad, as a
// merge does. Where both changed the same lines of a file there is a conflict, and they are as Good has them.
// The commit is empty where there is nothing to take back. No branch changes.
func (r Repository) Revert(ctx context.Context, what Reversion, message Message, by Person) (
	commit string, conflicts []Conflict, err error) {
	temporary, err := os.MkdirTemp("", "slipway-revert-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(temporary)
	var sides [3]map[string]entry
	for i, c := range []string{what.Head, what.Bad, what.Good} {
		if sides[i], err = r.entriesOf(ctx, c, what.Files); err != nil {
			return "", nil, err
		}
	}
	var changes strings.Builder
	for _, name := range what.Files {
		head, bad, good := sides[0][name], sides[1][name], sides[2][name]
		wanted, left, err := r.takeBack(ctx, temporary, head, bad, good)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range left {
			c.File = name
			conflicts = append(conflicts, c)
		}
		if wanted == head {
			continue
		}
		fmt.Fprintf(&changes, "0 %040d\t%s\x00", 0, name)
		if wanted.hash != "" {
			fmt.Fprintf(&changes, "%s %s\t%s\x00", wanted.mode, wanted.hash, name)
		}
	}
	if changes.Len() == 0 {
		return "", conflicts, nil
	}
	index := filepath.Join(temporary, "index")
	commit, err = r.commitEntries(ctx, index, what.Head, changes.String(), message(conflicts), by)
	return commit, conflicts, err
}

// entry is a file in a commit; the zero value where the commit does not have it.
type entry struct{ mode, hash string }

// hasLines reports whether the entry is a file, and not a link or a submodule.
func (e entry) hasLines() bool { return e.hash != "" && e.mode != ModeLink && e.mode != ModeSubmodule }

func (r Repository) entriesOf(ctx context.Context, commit string, files []string) (map[string]entry, error) {
	list := []string{"ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit, "--"}
	out, err := r.runRemote(ctx, append(list, files...)...)
	if err != nil {
		return nil, err
	}
	entries := map[string]entry{}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		meta, name, _ := strings.Cut(line, "\t")
		if f := strings.Fields(meta); len(f) == 3 {
			entries[name] = entry{mode: f[0], hash: f[2]}
		}
	}
	return entries, nil
}

// takeBack returns head without what changed from good to bad, and what cannot be told apart from what
// changed from bad to head.
func (r Repository) takeBack(
	ctx context.Context, temporary string, head, bad, good entry,
) (entry, []Conflict, error) {
	switch {
	case head == bad || head == good:
		return good, nil, nil
	case bad == good:
		return head, nil, nil
	case !head.hasLines() || !bad.hasLines() || !good.hasLines():
		return good, []Conflict{{}}, nil
	}
	var paths []string
	for i, e := range []entry{head, bad, good} {
		text, err := r.runRemote(ctx, "cat-file", "blob", e.hash)
		if err != nil {
			return entry{}, nil, err
		}
		path := filepath.Join(temporary, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return entry{}, nil, err
		}
		paths = append(paths, path)
	}
	var merged bytes.Buffer
	merge := append([]string{"merge-file", "--stdout", fmt.Sprintf("--marker-size=%d", markerSize)}, paths...)
	err := command{dir: r.Dir, access: r.access}.stream(ctx, &merged, merge...)
	var failed *Error
	if errors.As(err, &failed) && failed.Code > 0 && failed.Code < 128 { // the number of conflicts
		err = nil
	}
	if err != nil {
		return entry{}, nil, err
	}
	text, conflicts := settle(merged.String())
	git := command{dir: r.Dir, access: r.access, stdin: strings.NewReader(text)}
	hash, err := git.run(ctx, "hash-object", "-w", "--stdin")
	return entry{mode: head.mode, hash: strings.TrimSpace(hash)}, conflicts, err
}

// markerSize is how long the marks around a conflict are: no file has such lines.
const markerSize = 60

// settle replaces the conflicts of a merge by the lines of their second side.
func settle(merged string) (text string, conflicts []Conflict) {
	var out strings.Builder
	line, side := 1, ' '
	for l := range strings.Lines(merged) {
		mark := ' '
		for _, m := range "<=>" {
			if strings.HasPrefix(l, strings.Repeat(string(m), markerSize)) {
				mark = m
			}
		}
		switch {
		case mark == '<':
			conflicts, side = append(conflicts, Conflict{Line: line}), mark
		case mark == '=' && side == '<':
			side = mark
		case mark == '>' && side == '=':
			side = ' '
		case side == '<':
			conflicts[len(conflicts)-1].Head += l
		default:
			if side == '=' {
				conflicts[len(conflicts)-1].Good += l
			}
			out.WriteString(l)
			line++
		}
	}
	return out.String(), conflicts
}
