package metadata

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"slipway/internal/lazyregexp"
)

// Inputs are the inputs of the action.
type Inputs struct {
	Images         string `json:"images,omitempty"`
	Tags           string `json:"tags,omitempty"`
	Flavor         string `json:"flavor,omitempty"`
	Labels         string `json:"labels,omitempty"`
	Annotations    string `json:"annotations,omitempty"`
	SepTags        string `json:"sep-tags,omitempty"`
	SepLabels      string `json:"sep-labels,omitempty"`
	SepAnnotations string `json:"sep-annotations,omitempty"`
	BakeTarget     string `json:"bake-target,omitempty"`
	Context        string `json:"context,omitempty"`
}

// Result holds an image's names. Labels and annotations are KEY=VALUE, in order.
type Result struct {
	Version  string
	Partial  []string
	Latest   bool
	Images   []string // those that are enabled
	Tags     []string
	TagNames []string
	Labels   []string
	// Annotations are without levels.
	Annotations []string
	Warnings    []Warning
}

// maker makes one result.
type maker struct {
	Result
	context Context
	entries []Entry
	flavor  Flavor
	values  values
	first   *Entry // it names the version
	sha     bool   // a tag or a label is made of the commit
}

// Make makes the tags, labels and annotations of what a context describes.
func Make(in Inputs, c Context) (Result, error) {
	m := &maker{context: c}
	m.values = m.globals()
	images, err := parseImages(in.Images)
	if err != nil {
		return Result{}, err
	}
	for _, image := range images {
		if image.Enable {
			m.Images = append(m.Images, strings.ToLower(image.Name))
		}
	}
	if m.flavor, err = ParseFlavor(in.Flavor); err != nil {
		return Result{}, err
	}
	if m.entries, err = ParseTags(in.Tags); err != nil {
		return Result{}, err
	}
	list, _ := lines("tags", in.Tags) // read once already
	for _, l := range list {
		if l.unquoted {
			m.warn("", fmt.Sprintf("the comma in %q separates fields: the action removes quotes before it splits",
				l.text),
				`quote the whole line, and the field with two: "type=match,""pattern=a{1,2}"""`)
		}
	}
	m.entries = ByPriority(m.entries)
	for _, e := range m.entries {
		m.warnUnknownAttributes(e)
		if err := m.entry(e); err != nil {
			return Result{}, err
		}
	}
	m.names()
	if m.Labels, err = m.pairs("labels", in.Labels); err != nil {
		return Result{}, err
	}
	if m.Annotations, err = m.pairs("annotations", in.Annotations); err != nil {
		return Result{}, err
	}
	m.traps()
	return m.Result, m.older(in)
}

// expand evaluates the expressions in a part of a line, and warns of those that are lost.
func (m *maker) expand(v values, input, line, part string) (string, error) {
	out, notes, err := v.expand(part)
	if err != nil {
		return "", &InputError{input, line, err.Error()}
	}
	for _, name := range notes.unknown {
		m.warn(noValue, fmt.Sprintf("{{%s}} in %q is unknown, and empty", name, line),
			"use "+strings.Join(slices.Sorted(maps.Keys(v)), ", "))
	}
	for _, name := range notes.escaped {
		m.warn(htmlInTag, fmt.Sprintf("{{%s}} is escaped as HTML in %q: %s", name, line, out),
			"write {{{"+name+"}}}")
	}
	return out, nil
}

// entry makes the tag of one entry.
func (m *maker) entry(e Entry) error {
	enable, err := m.expand(m.values, "tags", e.Text, e.Attr("enable"))
	if err != nil {
		return err
	}
	if enable != "true" && enable != "false" {
		return &InputError{"tags", e.Text, fmt.Sprintf("invalid enable %q: want true or false", enable)}
	}
	if enable == "false" {
		return nil
	}
	value, latest, fires, err := m.value(e)
	if err != nil || !fires {
		return err
	}
	prefix, suffix := m.flavor.Prefix, m.flavor.Suffix
	if e.has("prefix") || e.Attr("prefix") != "" {
		prefix = e.Attr("prefix")
	}
	if e.has("suffix") {
		suffix = e.Attrs["suffix"]
	}
	if prefix, err = m.expand(m.values, "tags", e.Text, prefix); err != nil {
		return err
	}
	if suffix, err = m.expand(m.values, "tags", e.Text, suffix); err != nil {
		return err
	}
	m.set(e, prefix+value+suffix, latest)
	return nil
}

// set adds a tag. The first one is the version, and decides whether there is a tag "latest".
func (m *maker) set(e Entry, tag string, latest bool) {
	if tag == "" {
		return
	}
	tag = sanitize(tag)
	switch {
	case m.first == nil:
		m.first, m.Version = &e, tag
		m.Latest = m.flavor.Latest == "true" || m.flavor.Latest == "auto" && latest
	case tag != m.Version && !slices.Contains(m.Partial, tag):
		m.Partial = append(m.Partial, tag)
	}
}

var unclean = lazyregexp.New(`[^a-zA-Z0-9._-]+`)

func sanitize(tag string) string { return unclean().ReplaceAllString(tag, "-") }

// value is the tag of an entry without prefix and suffix. fires is false where the entry makes none.
func (m *maker) value(e Entry) (value string, latest, fires bool, err error) {
	c := m.context
	branch, onBranch := strings.CutPrefix(c.Ref, "refs/heads/")
	tag, onTag := strings.CutPrefix(c.Ref, "refs/tags/")
	pull, onPull := strings.CutPrefix(c.Ref, "refs/pull/")
	switch event := e.Attrs["event"]; {
	case e.Type == "schedule":
		if fires = strings.Contains(c.Event, "schedule"); fires {
			value, err = m.expand(m.dates(), "tags", e.Text, e.Attr("pattern"))
		}
	case e.Type == "semver" || e.Type == "pep440" || e.Type == "match":
		if e.Attrs["value"] != "" {
			if tag, err = m.expand(m.values, "tags", e.Text, e.Attrs["value"]); err != nil {
				return
			}
		} else if !onTag {
			return
		}
		if e.Type == "match" {
			value, fires, err = m.match(e, "pattern", tag, e.Attr("group"))
			return value, true, fires, err
		}
		return m.version(e, tag)
	case e.Type == "edge":
		value, fires = "edge", onBranch && branch == cmp.Or(e.Attrs["branch"], c.Repository.DefaultBranch)
	case e.Type == "ref" && event == "branch":
		value, fires = branch, onBranch
	case e.Type == "ref" && event == "tag":
		value, latest, fires = tag, true, onTag
	case e.Type == "ref":
		value, fires = strings.TrimSuffix(pull, "/merge"), onPull
	case e.Type == "raw":
		value, err = m.expand(m.values, "tags", e.Text, e.Attrs["value"])
		fires = true
	case e.Type == "sha" && e.Attr("format") == "long":
		value, fires, m.sha = c.SHA, c.SHA != "", true
	case e.Type == "sha" && c.SHA != "":
		fires = true
		if value, err = m.short(); err != nil {
			err = &InputError{"tags", e.Text, err.Error()}
		}
	}
	return value, latest, fires, err
}

// isRaw matches the patterns that keep a pre-release as it is written.
var isRaw = lazyregexp.New(`^\{\{\{?\s*raw\s*\}?\}\}$`)

// version is the value of an entry of type semver or pep440, from the Git tag or the attribute value.
func (m *maker) version(e Entry, text string) (value string, latest, fires bool, err error) {
	if e.Attrs["match"] != "" {
		group, found, err := m.match(e, "match", text, "1")
		if err != nil {
			return "", false, false, err
		}
		if found {
			text = group
		} else {
			m.warn(fallsThrough,
				fmt.Sprintf("the match of %q does not match %s, so that all of it is used", e.Text, text),
				"use type=match, or a match for every tag that is built")
		}
	}
	text = strings.ReplaceAll(text, "/", "-")
	parse, is := parseSemver, "is not a valid semver, see https://semver.org"
	if e.Type == "pep440" {
		parse, is = parsePep440, "does not conform to PEP 440, see https://peps.python.org/pep-0440"
	}
	found, release, ok := parse(text)
	if !ok {
		m.warn("", strings.TrimSpace(fmt.Sprintf("%s %s: %q makes no tag", text, is, e.Text)), "")
		return "", false, false, nil
	}
	pattern := e.Attrs["pattern"]
	if !release && !isRaw().MatchString(pattern) {
		pattern = "{{version}}"
	}
	v := values{}
	for name, value := range found {
		v[name] = constant(value)
	}
	value, err = m.expand(v, "tags", e.Text, pattern)
	return value, release, true, err
}

// names puts images and tags together.
func (m *maker) names() {
	if m.first == nil {
		what := cmp.Or(m.context.Ref, "a commit without a branch and a tag")
		if m.context.Event != "" {
			what += " and the event " + m.context.Event
		}
		m.warn("", "no entry makes a tag for "+what, "check the triggers of the workflow and the input tags")
		return
	}
	m.TagNames = append([]string{m.Version}, m.Partial...)
	if m.Latest {
		// The action does not evaluate expressions here.
		prefix, suffix := "", ""
		if m.flavor.PrefixLatest {
			prefix = m.flavor.Prefix
		}
		if m.flavor.SuffixLatest {
			suffix = m.flavor.Suffix
		}
		m.TagNames = append(m.TagNames, sanitize(prefix+"latest"+suffix))
	}
	for _, image := range m.Images {
		for _, tag := range m.TagNames {
			m.Tags = append(m.Tags, image+":"+tag)
		}
	}
	if len(m.Images) == 0 {
		m.Tags = m.TagNames
	}
}

// pairs are the labels or annotations that every image has and those of the input, in the order of
// JavaScript's localeCompare.
func (m *maker) pairs(input, custom string) ([]string, error) {
	r := m.context.Repository
	found := map[string]string{}
	for name, value := range map[string]string{
		"title": r.Name, "description": r.Description, "url": r.URL, "source": r.URL, "version": m.Version,
		"created":  m.context.Now.UTC().Format("2006-01-02T15:04:05.000Z"),
		"revision": m.context.SHA, "licenses": r.License.SPDX,
	} {
		found["org.opencontainers.image."+name] = value
	}
	all, err := lines(input, custom)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		text, err := m.expand(m.values, input, l.text, l.text)
		if err != nil {
			return nil, err
		}
		if key, value, ok := strings.Cut(text, "="); ok {
			found[key] = value
		}
	}
	var keys []string
	for key := range found {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, localeCompare)
	for i, key := range keys {
		keys[i] = key + "=" + found[key]
	}
	return keys, nil
}

// short is the short commit.
func (m *maker) short() (string, error) {
	m.sha = true
	length := 7.0
	if m.context.Short != "" {
		length = number(m.context.Short)
	}
	if math.IsNaN(length) {
		return "", fmt.Errorf("invalid DOCKER_METADATA_SHORT_SHA_LENGTH %q: want a number", m.context.Short)
	}
	return m.context.SHA[:int(max(0, min(length, float64(len(m.context.SHA)))))], nil
}

func constant(s string) expression {
	return func([]argument, map[string]string) (string, error) { return s, nil }
}

// dates are the expressions that return a time.
func (m *maker) dates() values {
	committed := m.date(m.context.CommitDate)
	if m.context.CommitDate.IsZero() {
		committed = func([]argument, map[string]string) (string, error) {
			return "", errors.New("the date of the commit is unknown: check it out, or use {{date}}")
		}
	}
	return values{"date": m.date(m.context.Now), "commit_date": committed}
}

func (m *maker) date(t time.Time) expression {
	return func(args []argument, options map[string]string) (string, error) {
		if len(args) == 0 {
			return "", fmt.Errorf("date requires a format, as in {{date 'YYYYMMDD'}}")
		}
		zone := "UTC"
		for key, value := range options {
			if key != "tz" || value == "" {
				return "", fmt.Errorf("unknown option %s='%s' of date: want tz='Zone'", key, value)
			}
			zone = value
		}
		where, err := time.LoadLocation(zone)
		known := err == nil && zone != "Local"
		if !known {
			m.warn("", fmt.Sprintf("unknown time zone %s: UTC is used", zone), "")
			where = time.UTC
		}
		if !args[0].known {
			m.warn("", "the format of a date has no quotes, and is ignored", "write {{date 'YYYYMMDD'}}")
		}
		return momentFormat(t.In(where), args[0].text, known), nil
	}
}

// onDefault matches events that run on the default branch.
var onDefault = lazyregexp.New("create|discussion|issues|schedule")

// globals are the expressions that can be used everywhere but in a pattern.
func (m *maker) globals() values {
	c := m.context
	branch, onBranch := strings.CutPrefix(c.Ref, "refs/heads/")
	tag, onTag := strings.CutPrefix(c.Ref, "refs/tags/")
	base := ""
	switch {
	case onTag:
		base = strings.TrimPrefix(c.Payload.BaseRef, "refs/heads/")
	case strings.HasPrefix(c.Ref, "refs/pull/"):
		base = c.Payload.PullRequest.Base.Ref
	}
	isDefault := branch != "" && (branch == c.Payload.Repository.DefaultBranch || c.DefaultBranchEvents &&
		onDefault().MatchString(c.Event))
	v := m.dates()
	v["branch"], v["tag"], v["base_ref"] = constant(""), constant(""), constant(base)
	if onBranch {
		v["branch"] = constant(branch)
	}
	if onTag {
		v["tag"] = constant(tag)
	}
	v["is_default_branch"], v["is_not_default_branch"] = constant(fmt.Sprint(isDefault)),
		constant(fmt.Sprint(!isDefault))
	v["sha"] = func([]argument, map[string]string) (string, error) { return m.short() }
	return v
}
