package object

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/lazyregexp"
)

// Steps parses a path: spec.containers[name=api].ports[0], metadata.annotations["a.b/c"]. It also takes what
// other tools write: .spec and $.spec (yq), {.metadata.labels.a\.b} and [?(@.name=="api")] (kubectl's
// jsonpath), /spec/ports/0 (JSON patches).
func Steps(path string) ([]Step, error) {
	rest := strings.TrimSpace(path)
	if inside, ok := strings.CutPrefix(rest, "{"); ok {
		closed := false
		if rest, closed = strings.CutSuffix(inside, "}"); !closed {
			return nil, fmt.Errorf("field %s: { is not closed", path)
		}
		rest = strings.TrimSpace(rest)
	}
	if pointer, ok := strings.CutPrefix(rest, "/"); ok {
		return pointerSteps(pointer), nil
	}
	if rest == "$" || rest == "." {
		return nil, nil
	}
	if strings.HasPrefix(rest, "$.") || strings.HasPrefix(rest, "$[") {
		rest = rest[1:]
	}
	var steps []Step
	for rest != "" {
		var s Step
		var err error
		if rest[0] == '[' {
			s, rest, err = bracket(rest)
		} else {
			s.Key, rest, err = dotted(strings.TrimPrefix(rest, "."))
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", path, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func pointerSteps(pointer string) (steps []Step) {
	for key := range strings.SplitSeq(pointer, "/") {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
		steps = append(steps, Step{Key: key})
	}
	return steps
}

// dotted cuts a key at the next dot or bracket. A backslash takes the character that follows as it is.
func dotted(text string) (key, rest string, err error) {
	i := 0
	for ; i < len(text) && text[i] != '.' && text[i] != '['; i++ {
		if text[i] == '\\' {
			if i++; i == len(text) {
				return "", "", errors.New(`ends with \`)
			}
		}
		key += text[i : i+1]
	}
	if key == "" || strings.ContainsAny(key, " \t\r\n]{}\"'*") {
		return "", "", fmt.Errorf("invalid key %q", key)
	}
	return key, text[i:], nil
}

// filter matches what is inside the brackets of jsonpath's [?(@.name=="api")].
var filter = lazyregexp.New(`^\?\(\s*@\.([A-Za-z0-9_-]+)\s*={1,2}\s*(.*?)\s*\)$`)

func bracket(text string) (s Step, rest string, err error) {
	inside, rest, err := closing(text[1:])
	if err != nil {
		return Step{}, "", fmt.Errorf("%s is not closed", text)
	}
	if m := filter().FindStringSubmatch(inside); m != nil {
		inside = m[1] + "=" + m[2]
	}
	if key, after, err := unquote(inside); err == nil && after == "" && key != inside {
		return Step{Key: key}, rest, nil
	}
	if i, err := strconv.Atoi(inside); err == nil {
		return Step{Element: true, Index: i}, rest, nil
	}
	if !strings.Contains(inside, "=") && strings.ContainsAny(inside, "./") {
		return Step{Key: inside}, rest, nil
	}
	s.Element = true
	for more := inside; ; {
		k, v, ok := strings.Cut(more, "=")
		if ok {
			v, more, err = unquote(strings.TrimPrefix(v, "="))
		}
		if !ok || err != nil || more != "" && more[0] != ',' {
			return Step{}, "", fmt.Errorf("[%s] is neither an index nor key=value", inside)
		}
		if s.Match = append(s.Match, [2]string{strings.TrimSpace(k), v}); more == "" {
			return s, rest, nil
		}
		more = more[1:]
	}
}

// closing cuts a text at its next bracket that closes and is not in quotes.
func closing(text string) (inside, rest string, err error) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ']':
			return text[:i], text[i+1:], nil
		case '"', '\'':
			_, after, err := unquote(text[i:])
			if err != nil {
				return "", "", err
			}
			i = len(text) - len(after) - 1
		}
	}
	return "", "", errors.New("no ]")
}

// unquote returns a text in quotes, or without quotes up to the next comma.
func unquote(text string) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(text, `"`):
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", err
		}
		value, err = strconv.Unquote(quoted)
		return value, text[len(quoted):], err
	case strings.HasPrefix(text, "'"):
		value, rest, closed := strings.Cut(text[1:], "'")
		if !closed {
			return "", "", errors.New("no closing quote")
		}
		return value, rest, nil
	}
	end := strings.IndexByte(text, ',')
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], nil
}
