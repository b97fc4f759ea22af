// Package metadata makes the tags, labels and annotations of an image by the rules of
// docker/metadata-action 6, from the variables of a CI platform or from Git. It uses no network.
package metadata

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/image/reference"
)

// InputError says that an input is invalid, in one of its lines or as a whole.
type InputError struct {
	Input string // "images", "tags", "flavor", …, or a file of them
	Line  string
	Why   string
}

func (e *InputError) Error() string {
	if e.Line == "" {
		return e.Input + ": " + e.Why
	}
	return fmt.Sprintf("%s: %q: %s", e.Input, e.Line, e.Why)
}

// Entry is one line of the input "tags".
type Entry struct {
	Type string
	// Attrs are the attributes as written, without defaults.
	Attrs map[string]string
	Text  string
	Line  int // in the input, from 0
}

// priorities are the default priorities of the types. The first entry names the version.
var priorities = map[string]float64{
	"schedule": 1000, "semver": 900, "pep440": 900, "match": 800, "edge": 700, "ref": 600,
	"raw": 200, "sha": 100,
}

// required is the attribute that a type requires.
var required = map[string]string{"semver": "pattern", "pep440": "pattern", "match": "pattern", "ref": "event",
	"raw": "value"}

// line is a line of an input that is neither empty nor a comment.
type line struct {
	text string
	at   int // from 0
	// unquoted: quotes around a comma were removed, so that the comma now separates fields.
	unquoted bool
}

// lines returns the lines of an input. Like the action it removes quotes before a line is split into fields:
// "a,b" becomes a,b, and "a=""b,c""" becomes a="b,c".
func lines(input, text string) ([]line, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comment, r.FieldsPerRecord, r.LazyQuotes = '#', -1, true
	var all []line
	for {
		record, err := r.Read()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, &InputError{input, text, err.Error()}
		}
		l := line{text: strings.TrimSpace(strings.Join(record, ",")), unquoted: slices.ContainsFunc(record,
			func(s string) bool {
				return strings.Contains(s, ",") && !strings.Contains(s, `"`)
			})}
		l.at, _ = r.FieldPos(0)
		l.at--
		if strings.Contains(l.text, "\n") && r.InputOffset() >= int64(len(text)) &&
			!strings.HasSuffix(strings.TrimSpace(text), `"`) {
			return nil, &InputError{input, l.text, "a quote is not closed"}
		}
		if l.text != "" && l.text[0] != '#' {
			all = append(all, l)
		}
	}
}

// field is one KEY=VALUE of a line, or a bare value.
type field struct {
	key, value string
	bare       bool
}

// fields splits a line, which is a record of comma-separated values.
func fields(input, line string) ([]field, error) {
	record, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return nil, &InputError{input, line,
			`quote a whole field, as in "pattern=a,b": ` + err.Error()}
	}
	all := make([]field, len(record))
	for i, text := range record {
		key, value, found := strings.Cut(text, "=")
		if !found {
			key, value = "", text
		}
		all[i] = field{strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value), !found}
	}
	return all, nil
}

// ParseTags reads the input "tags", one entry a line. An empty input stands for four default entries.
func ParseTags(input string) ([]Entry, error) {
	var entries []Entry
	all, err := lines("tags", input)
	for _, l := range all {
		e, err := parseEntry(l.text)
		if err != nil {
			return nil, err
		}
		e.Line = l.at
		entries = append(entries, e)
	}
	if len(entries) == 0 && err == nil {
		return ParseTags("type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr")
	}
	return entries, err
}

func parseEntry(line string) (Entry, error) {
	e := Entry{Type: "raw", Attrs: map[string]string{}, Text: line}
	all, err := fields("tags", line)
	if err != nil {
		return e, err
	}
	for _, f := range all {
		if f.bare {
			f.key = "value"
		}
		e.Attrs[f.key] = f.value
	}
	if t, ok := e.Attrs["type"]; ok {
		e.Type = t
	}
	fail := func(why string, args ...any) (Entry, error) {
		return e, &InputError{"tags", line, fmt.Sprintf(why, args...)}
	}
	if _, known := priorities[e.Type]; !known {
		return fail("unknown type %q: want schedule, semver, pep440, match, edge, ref, raw or sha", e.Type)
	}
	if key := required[e.Type]; key != "" && !e.has(key) {
		return fail("type=%s requires %s=", e.Type, key)
	}
	switch {
	case e.Type == "match" && e.Attr("group") != "" && math.IsNaN(number(e.Attr("group"))):
		return fail("invalid group %q: want a number", e.Attr("group"))
	case e.Type == "ref" && !slices.Contains([]string{"branch", "tag", "pr"}, e.Attrs["event"]):
		return fail("unknown event %q: want branch, tag or pr", e.Attrs["event"])
	case e.Type == "sha" && e.Attr("format") != "short" && e.Attr("format") != "long":
		return fail("unknown format %q: want short or long", e.Attr("format"))
	}
	return e, nil
}

func (e Entry) has(key string) bool { _, ok := e.Attrs[key]; return ok }

// Attr returns an attribute or its default.
func (e Entry) Attr(key string) string {
	if value, ok := e.Attrs[key]; ok {
		return value
	}
	switch {
	case key == "enable":
		return "true"
	case key == "priority":
		return strconv.FormatFloat(priorities[e.Type], 'f', -1, 64)
	case key == "pattern" && e.Type == "schedule":
		return "nightly"
	case key == "group":
		return "0"
	case key == "format":
		return "short"
	case key == "prefix" && e.Type == "sha":
		return "sha-"
	case key == "prefix" && e.Type == "ref" && e.Attrs["event"] == "pr":
		return "pr-"
	}
	return ""
}

// number parses a number as JavaScript does: an empty text is 0, and an invalid one NaN.
func number(text string) float64 {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// priority is the entry's own priority, or that of its type.
func (e Entry) priority() float64 {
	if n := number(e.Attr("priority")); !math.IsNaN(n) {
		return n
	}
	return priorities[e.Type]
}

// ByPriority returns the entries in the order in which the action evaluates them.
func ByPriority(entries []Entry) []Entry {
	return slices.SortedStableFunc(slices.Values(entries), func(a, b Entry) int {
		switch p, q := a.priority(), b.priority(); {
		case p > q:
			return -1
		case p < q:
			return 1
		}
		return 0
	})
}

// Moves tells whether a later run gives the tag to another image.
func (e Entry) Moves() bool {
	switch e.Type {
	case "edge", "schedule":
		return !strings.Contains(e.Attrs["pattern"], "{{")
	case "ref":
		return e.Attrs["event"] == "branch"
	case "raw":
		return reference.MayMoveTag(e.Attrs["prefix"] + e.Attrs["value"] + e.Attrs["suffix"])
	case "semver", "pep440":
		version := anyVersion.Replace(e.Attrs["pattern"])
		return reference.IsSeriesTag(e.Attrs["prefix"] + version + e.Attrs["suffix"])
	}
	return false
}

// anyVersion makes a tag of a pattern of semver or pep440.
var anyVersion = strings.NewReplacer("{{major}}", "1", "{{minor}}", "2", "{{patch}}", "3",
	"{{version}}", "1.2.3", "{{raw}}", "1.2.3")

// Flavor is the input "flavor": settings for all entries.
type Flavor struct {
	Latest, Prefix, Suffix     string
	PrefixLatest, SuffixLatest bool // "latest" gets them too
}

// ParseFlavor reads the input "flavor". With an error it also returns the valid settings.
func ParseFlavor(input string) (Flavor, error) {
	f := Flavor{Latest: "auto"}
	all, first := lines("flavor", input)
	for _, l := range all {
		if err := f.parse(l.text); first == nil {
			first = err
		}
	}
	return f, first
}

func (f *Flavor) parse(line string) error {
	all, err := fields("flavor", line)
	if err != nil {
		return err
	}
	onLatest := new(bool)
	for _, each := range all {
		switch key, value := each.key, each.value; {
		case key == "latest":
			if f.Latest = value; value != "auto" && value != "true" && value != "false" {
				return &InputError{"flavor", line, "invalid latest: want auto, true or false"}
			}
		case key == "prefix":
			f.Prefix, onLatest = value, &f.PrefixLatest
		case key == "suffix":
			f.Suffix, onLatest = value, &f.SuffixLatest
		case key == "onlatest" && (value == "true" || value == "false"):
			*onLatest = value == "true"
		case key == "onlatest":
			return &InputError{"flavor", line, "invalid onlatest: want true or false"}
		default:
			return &InputError{"flavor", line,
				fmt.Sprintf("unknown key %q: want latest, prefix, suffix or onlatest", key)}
		}
	}
	return nil
}

// Image is one entry of the input "images".
type Image struct {
	Name   string
	Enable bool
}

// parseImages reads the input "images": one image a line, or a single line of names separated by commas.
func parseImages(input string) ([]Image, error) {
	var images []Image
	list, err := lines("images", input)
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		line := l.text
		all, err := fields("images", line)
		if err != nil {
			return nil, err
		}
		if len(list) == 1 && !slices.ContainsFunc(all, func(f field) bool { return !f.bare }) {
			for _, f := range all {
				images = append(images, Image{f.value, true})
			}
			continue
		}
		image := Image{Enable: true}
		for _, f := range all {
			switch {
			case f.bare || f.key == "name":
				image.Name = f.value
			case f.key == "enable" && (f.value == "true" || f.value == "false"):
				image.Enable = f.value == "true"
			case f.key == "enable":
				return nil, &InputError{"images", line, "invalid enable: want true or false"}
			default:
				return nil, &InputError{"images", line, fmt.Sprintf("unknown key %q: want name or enable", f.key)}
			}
		}
		if image.Name == "" {
			return nil, &InputError{"images", line, "the name is empty"}
		}
		images = append(images, image)
	}
	return images, nil
}
