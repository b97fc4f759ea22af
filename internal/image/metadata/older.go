package metadata

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/lazyregexp"
)

// release is a version in a Git tag: before is what the tag has in front of it ("web/").
type release struct {
	tag, before string
	numbers     [3]int
}

var releaseTag = lazyregexp.New(`^(|.*[^0-9.])(\d+)\.(\d+)(?:\.(\d+))?([-+].*)?$`)

// parseRelease reads a release. A pre-release is none.
func parseRelease(tag string) (r release, ok bool) {
	m := releaseTag().FindStringSubmatch(tag)
	if m == nil || strings.HasPrefix(m[5], "-") {
		return r, false
	}
	r = release{tag: tag, before: strings.TrimSuffix(m[1], "v")}
	for i, n := range m[2:5] {
		if r.numbers[i], _ = strconv.Atoi(n); len(n) > 9 {
			return r, false
		}
	}
	return r, true
}

func (r release) compare(o release) int { return slices.Compare(r.numbers[:], o.numbers[:]) }

// older warns where tags that a newer release has go back to this one.
func (m *maker) older(in Inputs) error {
	text, onTag := strings.CutPrefix(m.context.Ref, "refs/tags/")
	given := func(e Entry) bool { return e.Type != "raw" && e.Attrs["value"] != "" }
	if i := slices.IndexFunc(m.entries, given); i >= 0 {
		text, onTag = m.entries[i].Attrs["value"], true
	}
	this, ok := parseRelease(text)
	if !onTag || !ok {
		return nil
	}
	for _, newer := range this.newer(m.context.Tags) {
		c := m.context
		c.Tags, c.Ref = nil, "refs/tags/"+newer.tag
		in.Tags = strings.ReplaceAll(in.Tags, "value="+this.tag, "value="+newer.tag)
		other, err := Make(in, c)
		if err != nil {
			return err
		}
		both := slices.DeleteFunc(slices.Clone(m.TagNames), func(name string) bool {
			return name == m.Version || !slices.Contains(other.TagNames, name)
		})
		if len(both) > 0 {
			m.warn(olderRelease, fmt.Sprintf("%s is older than %s, which gets %s too: this run takes them back",
				this.tag, newer.tag, strings.Join(both, " and ")),
				"leave them out for older releases, with enable= and latest=false in flavor")
			return nil
		}
	}
	return nil
}

// newer are the releases that may share tags with this one: the newest of all, of the same major version, and
// of the same minor one.
func (r release) newer(tags []string) []release {
	var all []release
	for _, shared := range []int{0, 1, 2} {
		var found []release
		for _, tag := range tags {
			o, ok := parseRelease(tag)
			if ok && o.before == r.before && o.compare(r) > 0 &&
				slices.Equal(o.numbers[:shared], r.numbers[:shared]) {
				found = append(found, o)
			}
		}
		if len(found) > 0 {
			all = append(all, slices.MaxFunc(found, release.compare))
		}
	}
	return all
}
