package helm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"slipway/internal/object"
)

// place is the position of an error in Go's templates, once for each include.
var place = regexp.MustCompile(
	`template: ([^:]+):(\d+)(?::\d+)?: (?:executing "(?:[^"\\]|\\.)*" at <((?s:.*?))>: )?`)

// explain adds the file and the line of a template to its error, and shortens the error to one line.
func explain(err error, origins map[string]string) error {
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return ended
		}
	}
	var over *BudgetError
	budget := errors.As(err, &over)
	if budget && error(over) == err {
		return err
	}
	text := err.Error()
	var first, last object.Origin
	expression := ""
	for _, m := range place.FindAllStringSubmatch(text, -1) {
		expression = m[3]
		if origins[m[1]] == "" {
			continue // a value that is a template
		}
		last.File = origins[m[1]]
		last.Line, _ = strconv.Atoi(m[2])
		if first.File == "" {
			first = last
		}
	}
	if budget {
		return &BudgetError{last, over.What}
	}
	if last.File == "" {
		return err
	}
	all := place.FindAllStringIndex(text, -1)
	message := text[all[len(all)-1][1]:]
	if strings.HasPrefix(message, "wrong type for value") || strings.Contains(message,
		"nil pointer evaluating") || strings.Contains(message, "can't evaluate field") {
		message = expression + ": " + message
	}
	var own *failure
	if errors.As(err, &own) {
		message = own.msg
	}
	if first != last {
		message += fmt.Sprintf(" (included by %s)", first)
	}
	return &object.ReadError{File: last.File, Line: last.Line, Err: because{message, err}}
}

// because is a short message for an error.
type because struct {
	msg   string
	cause error
}

func (b because) Error() string { return b.msg }
func (b because) Unwrap() error { return b.cause }
