package workflow

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entry is one line of docker/metadata-action's input "tags".
type Entry struct {
	Type string
	// Attrs are the attributes as they are written; no defaults are filled in.
	Attrs map[string]string
	Text  string
	Line  int // in the input, from 0
}

// priorities are which entry comes first, and so names the version, where none says its own.
var priorities = map[string]int{
	"schedule": 1000, "semver": 900, "pep440": 900, "match": 800, "edge": 700, "ref": 600, "raw": 200, "sha": 100,
}

// ParseTags reads the input "tags", one entry a line. Without any the action has four of its own.
func ParseTags(input string) ([]Entry, error) {
	var entries []Entry
	for i, line := range strings.Split(input, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		e.Line = i
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		for _, text := range []string{"type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"} {
			e, _ := parseEntry(text)
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func parseEntry(line string) (Entry, error) {
	e := Entry{Type: "raw", Attrs: map[string]string{}, Text: line}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return e, fmt.Errorf("read the entry: %w", err)
	}
	for _, field := range fields {
		key, value, found := strings.Cut(field, "=")
		if !found {
			key, value = "value", field
		}
		e.Attrs[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
	}
	if t, ok := e.Attrs["type"]; ok {
		e.Type = t
	}
	if _, known := priorities[e.Type]; !known {
		return e, fmt.Errorf("unknown type %q", e.Type)
	}
	return e, nil
}

// Priority is the entry's own, or that of its type.
func (e Entry) Priority() int {
	if n, err := strconv.Atoi(e.Attrs["priority"]); err == nil {
		return n
	}
	return priorities[e.Type]
}

// ByPriority gives the entries in the order in which the action asks them.
func ByPriority(entries []Entry) []Entry {
	return slices.SortedStableFunc(slices.Values(entries), func(a, b Entry) int { return b.Priority() - a.Priority() })
}

// What starts a run: kinds of Git references, as an entry sees them.
const (
	onBranch   = "a push to a branch"
	onTag      = "a Git tag"
	onPull     = "a pull request"
	onSchedule = "a schedule"
)

// fires says whether the entry gives a tag for what starts a run. What "enable" computes counts as true.
func (e Entry) fires(on string) bool {
	if e.Attrs["enable"] == "false" {
		return false
	}
	branch := on == onBranch || on == onSchedule
	switch e.Type {
	case "schedule":
		return on == onSchedule
	case "semver", "pep440", "match":
		return on == onTag || e.Attrs["value"] != ""
	case "edge":
		return branch
	case "ref":
		switch e.Attrs["event"] {
		case "branch":
			return branch
		case "tag":
			return on == onTag
		case "pr":
			return on == onPull
		}
	}
	return true
}

// needs says what has to start a run for the entry to fire.
func (e Entry) needs() string {
	switch {
	case e.Type == "schedule":
		return onSchedule
	case e.Type == "edge", e.Attrs["event"] == "branch":
		return onBranch
	case e.Attrs["event"] == "pr":
		return onPull
	}
	return onTag
}

// moves says that the tag stands for another image after each run.
func (e Entry) moves() bool {
	switch e.Type {
	case "edge", "schedule":
		return !strings.Contains(e.Attrs["pattern"], "{{")
	case "ref":
		return e.Attrs["event"] == "branch"
	case "raw":
		return mutableTag(e.Attrs["prefix"] + e.Attrs["value"] + e.Attrs["suffix"])
	}
	return false
}

var mutableTags = strings.Fields("latest main master develop dev development staging edge nightly stable test local head trunk prod production")

func mutableTag(tag string) bool { return slices.Contains(mutableTags, strings.ToLower(tag)) }

// tag is what an entry that is made of the commit or of fixed text gives, with "<sha:7>" for the
// commit's first seven characters; not ok where that is not known.
func (e Entry) tag(flavor Flavor, short int) (text string, ok bool) {
	prefix, suffix := flavor.Prefix, flavor.Suffix
	value := ""
	switch e.Type {
	case "sha":
		prefix, value = "sha-", sha(short)
		if e.Attrs["format"] == "long" {
			value = sha(40)
		}
	case "raw":
		value = strings.ReplaceAll(normal(e.Attrs["value"], nil), "{{sha}}", sha(short))
	}
	if p, stated := e.Attrs["prefix"]; stated {
		prefix = normal(p, nil)
	}
	if s, stated := e.Attrs["suffix"]; stated {
		suffix = normal(s, nil)
	}
	text = prefix + value + suffix
	return text, value != "" && !strings.ContainsAny(text, "${")
}

// Flavor is docker/metadata-action's input "flavor".
type Flavor struct{ Latest, Prefix, Suffix string }

// ParseFlavor reads it.
func ParseFlavor(input string) Flavor {
	f := Flavor{Latest: "auto"}
	for line := range strings.Lines(input) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value, _, _ = strings.Cut(value, ",")
		switch key {
		case "latest":
			f.Latest = value
		case "prefix":
			f.Prefix = value
		case "suffix":
			f.Suffix = value
		}
	}
	return f
}

// latest says whether the tag "latest" comes along when the entry is the first to fire.
func (f Flavor) latest(e Entry) bool {
	switch e.Type {
	case "semver", "pep440", "match":
		return f.Latest == "auto"
	}
	return f.Latest == "auto" && e.Type == "ref" && e.Attrs["event"] == "tag"
}
