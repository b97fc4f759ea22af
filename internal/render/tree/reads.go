package tree

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
)

// Kind is what is at a path, or what was asked about it.
type Kind string

// The kinds. A Read of kind Nothing asked for the Kind of a path, and its hash is the answer.
const (
	Nothing   Kind = "nothing"
	File      Kind = "file"
	Directory Kind = "directory"
	Link      Kind = "link"
)

// Read is one access to the tree: a file's text, a directory's list, a link's target, or the kind of a path.
type Read struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"`
}

// Seen is a Read with its result: the hash of a text or a list, a link's target, or a Kind.
type Seen struct {
	Read
	Hash string `json:"hash"`
}

// Reads is everything that a render depends on: while none of it changes, the result is the same. The zero
// value is empty.
type Reads struct {
	seen    map[Read]string
	secrets []string
	edited  []string // the files of which another text was read
}

// unreadable is the hash of a failed read.
const unreadable = "unreadable"

func (v *View) note(r Read, hash string, err error) {
	if err != nil {
		hash = unreadable
	}
	v.reads[r] = hash
}

// Reads returns the accesses so far.
func (v *View) Reads() Reads {
	seen := make(map[Read]string, len(v.reads))
	var edited []string
	for r, h := range v.reads {
		seen[r] = h
		if _, ok := v.edits[r.Path]; ok && r.Kind == File {
			edited = append(edited, r.Path)
		}
	}
	return Reads{seen: seen, secrets: v.Secrets(), edited: edited}
}

// List returns the reads in the order of their paths.
func (r Reads) List() []Seen {
	list := make([]Seen, 0, len(r.seen))
	for read, hash := range r.seen {
		list = append(list, Seen{read, hash})
	}
	slices.SortFunc(list, func(a, b Seen) int { return a.compare(b.Read) })
	return list
}

func (r Read) compare(other Read) int {
	return cmp.Or(strings.Compare(r.Path, other.Path), strings.Compare(string(r.Kind), string(other.Kind)))
}

// Has reports whether the text of a file was read.
func (r Reads) Has(file string) bool {
	_, ok := r.seen[Read{File, file}]
	return ok
}

// Same reports whether the reads still have the same results.
func (t *Tree) Same(list []Seen) bool {
	for _, s := range list {
		if t.now(s.Read) != s.Hash {
			return false
		}
	}
	return true
}

func (t *Tree) now(r Read) string {
	switch r.Kind {
	case File:
		raw, err := t.raw(r.Path)
		if err != nil {
			return unreadable
		}
		return hashOf(raw)
	case Directory:
		entries, err := t.list(r.Path)
		if err != nil {
			return unreadable
		}
		return hashOfEntries(entries)
	case Link:
		target, err := t.root.Readlink(r.Path)
		if err != nil {
			return unreadable
		}
		return target
	}
	kind, err := t.kind(r.Path)
	if err != nil {
		return unreadable
	}
	return string(kind)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func hashOfEntries(entries []fs.DirEntry) string {
	h := sha256.New()
	for _, e := range entries {
		h.Write([]byte(e.Name() + "\x00" + e.Type().String() + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}
