package tree

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
)

// Kind is what stands at a path, or how it was looked at.
type Kind string

// The kinds. A Read of kind Nothing asked what stands at a path, and found what its hash says.
const (
	Nothing Kind = "nothing"
	File    Kind = "file"
	Folder  Kind = "folder"
	Link    Kind = "link"
)

// Read is one look at the tree: a file's text, a folder's list, a link's target, or a mere question.
type Read struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"`
}

// Seen is a Read with what it found: the hash of a text or a list, a link's target, a Kind.
type Seen struct {
	Read
	Hash string `json:"hash"`
}

// Reads is everything that a render consulted: as long as none of it has changed, it renders to the
// same. The zero value is empty.
type Reads struct {
	seen    map[Read]string
	secrets []string
}

// unreadable is the hash of what could not be read.
const unreadable = "unreadable"

func (v *View) note(r Read, hash string, err error) {
	if err != nil {
		hash = unreadable
	}
	v.reads[r] = hash
}

// Reads is what was looked at so far.
func (v *View) Reads() Reads {
	seen := make(map[Read]string, len(v.reads))
	for r, h := range v.reads {
		seen[r] = h
	}
	return Reads{seen: seen, secrets: v.Secrets()}
}

// List gives the reads in the order of their paths.
func (r Reads) List() []Seen {
	list := make([]Seen, 0, len(r.seen))
	for read, hash := range r.seen {
		list = append(list, Seen{read, hash})
	}
	slices.SortFunc(list, func(a, b Seen) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return list
}

// Same says whether the tree still holds what was seen.
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
	case Folder:
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
