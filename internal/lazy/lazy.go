// Package lazy compiles regular expressions when they are first asked: those of a whole program, compiled
// in its every start, cost more than a command such as version does.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp gives a regular expression, which must be one.
func Regexp(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
