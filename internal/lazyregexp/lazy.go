// Package lazyregexp compiles regular expressions when they are first asked: those of a whole program,
// compiled in its every start, cost more than a command such as version does.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a regular expression, which must be one.
func New(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
