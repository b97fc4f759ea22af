package metadata

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2"

	"slipway/internal/lazyregexp"
)

// matchTime limits one match: a regular expression with backtracking can take forever.
const matchTime = time.Second

var slashed = lazyregexp.New(`^/(.+)/(.*)$`)

// match returns a group of an attribute's JavaScript regular expression, which may be written as /re/flags.
func (m *maker) match(e Entry, key, text, group string) (value string, found bool, err error) {
	pattern := e.Attrs[key]
	fail := func(why string) (string, bool, error) {
		return "", false, &InputError{"tags", e.Text, fmt.Sprintf("%s: %s", key, why)}
	}
	expression, global, err := compile(pattern)
	if err != nil {
		return fail(err.Error())
	}
	matched, err := expression.FindStringMatch(text)
	var groups []string
	for err == nil && matched != nil {
		if global {
			// With the flag g JavaScript returns all matches and no groups.
			groups = append(groups, matched.String())
			matched, err = expression.FindNextMatch(matched)
			continue
		}
		for _, g := range matched.Groups() {
			if len(g.Captures) == 0 {
				groups = append(groups, absent)
			} else {
				groups = append(groups, g.String())
			}
		}
		break
	}
	switch {
	case err != nil:
		return fail(fmt.Sprintf("%s takes longer than %s on %.40q, or too much memory: avoid a repetition inside "+
			"a repetition", pattern, matchTime, text))
	case groups == nil && key == "match":
		return "", false, nil
	case groups == nil:
		m.warn("", fmt.Sprintf("%s does not match %s: %q makes no tag", pattern, text, e.Text), "")
		return "", false, nil
	}
	n, err := strconv.Atoi(group)
	if err == nil && n >= 0 && n < len(groups) && strconv.Itoa(n) == group && groups[n] != absent {
		return groups[n], true, nil
	}
	if key == "match" {
		return fail(pattern + " has no group, and the version is taken from the first one: write parentheses " +
			"around it")
	}
	m.warn("", fmt.Sprintf("%s has no group %s in %s: %q makes no tag", pattern, group, text, e.Text), "")
	return "", false, nil
}

// absent stands for a group that did not take part in the match. No ref contains it.
const absent = "\x00"

// compile compiles a JavaScript regular expression.
func compile(pattern string) (expression *regexp2.Regexp, global bool, err error) {
	options := regexp2.RegexOptions(regexp2.ECMAScript)
	if parts := slashed().FindStringSubmatch(pattern); parts != nil {
		pattern = parts[1]
		global = strings.Contains(parts[2], "g")
		for i, flag := range parts[2] {
			if strings.ContainsRune(parts[2][:i], flag) {
				return nil, false, fmt.Errorf("duplicate flag %c", flag)
			}
			switch flag {
			case 'g', 'd':
			case 'i':
				options |= regexp2.IgnoreCase
			case 'm':
				options |= regexp2.Multiline
			case 's':
				options |= regexp2.Singleline
			case 'u':
				options |= regexp2.Unicode
			case 'y':
				pattern = "^(?:" + pattern + ")"
			default:
				return nil, false, fmt.Errorf("unknown flag %q", flag)
			}
		}
	}
	if pattern, err = positional(pattern); err != nil {
		return nil, false, err
	}
	expression, err = regexp2.Compile(pattern, options)
	if err == nil {
		expression.MatchTimeout = matchTime
	}
	return expression, global, err
}

var (
	// piece matches an escape, a set or the start of a group.
	piece = lazyregexp.New(
		`\\k<[^>]+>|(?s:\\.)|\[(?:\\.|[^\]\\])*\]|\((?:\?(?:<?[=!]|<([^=!>][^>]*)>|[ims]*(?:-[ims]+)?:|))?`)
	backward = lazyregexp.New(`^\\k<([^>]+)>$`)
)

// positional removes the names of groups: JavaScript numbers all groups in their order, regexp2 those with
// names after the others.
func positional(pattern string) (string, error) {
	names, n := map[string]int{}, 0
	var wrong error
	pattern = piece().ReplaceAllStringFunc(pattern, func(token string) string {
		m := piece().FindStringSubmatch(token)
		switch {
		case token == "(?":
			wrong = fmt.Errorf("invalid group")
		case token == "(":
			n++
		case m[1] != "":
			if n++; names[m[1]] != 0 {
				wrong = fmt.Errorf("duplicate group name %s", m[1])
			}
			names[m[1]] = n
			return "("
		}
		return token
	})
	return piece().ReplaceAllStringFunc(pattern, func(token string) string {
		if m := backward().FindStringSubmatch(token); m != nil && names[m[1]] > 0 {
			return fmt.Sprintf(`(?:\%d)`, names[m[1]])
		}
		return token
	}), wrong
}
