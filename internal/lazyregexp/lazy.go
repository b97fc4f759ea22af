// Package lazyregexp compiles regular expressions when they are first used. Compiling all of them at each
// start would take longer than a command such as version.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles an expression once. The function panics where the expression is
// invalid.
func New(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
