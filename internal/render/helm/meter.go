package helm

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"

	"slipway/internal/object"
)

// limits are those of the templates of one release.
type limits struct {
	time    time.Duration
	steps   int // loop iterations and entered templates
	depth   int // templates within each other
	written int // bytes, including those that other templates discard
	text    int // bytes that one function returns
	items   int // values that one function takes or returns
}

var defaultLimits = limits{time: 30 * time.Second, steps: 10_000_000, depth: 1000, written: 256 << 20,
	text: 16 << 20, items: 1_000_000}

// BudgetError reports a template that exceeds a limit.
type BudgetError struct {
	Origin object.Origin
	What   string
}

func (e *BudgetError) Error() string {
	if at := e.Origin.String(); at != "" {
		return at + ": " + e.What
	}
	return e.What
}

// Is makes it an object.ErrBudget.
func (e *BudgetError) Is(target error) bool { return target == object.ErrBudget }

// meter counts the work of a render and fails beyond the limits. Template functions panic with the error,
// which Go's templates turn into one.
type meter struct {
	ctx                   context.Context
	limits                limits
	at                    object.Origin // the last mark
	steps, depth, written int
}

// pass counts a mark.
func (m *meter) pass(at mark) error {
	if at.origin.File != "" {
		m.at = at.origin
	}
	m.depth += at.depth
	if m.depth > m.limits.depth {
		return m.over("templates are nested more than %d deep: check for one that includes itself", m.limits.depth)
	}
	m.steps++
	if m.steps > m.limits.steps {
		return m.over("more than %d steps: check for an endless loop", m.limits.steps)
	}
	if m.steps%64 == 0 {
		return m.alive()
	}
	return nil
}

func (m *meter) wrote(n int) error {
	if m.written += n; m.written > m.limits.written {
		return m.over("the templates write more than %d MiB", m.limits.written>>20)
	}
	return nil
}

// alive ends a render whose context has ended.
func (m *meter) alive() error {
	if m.ctx.Err() == nil {
		return nil
	}
	err := context.Cause(m.ctx)
	if errors.Is(err, errTooLong) {
		return m.over("the templates take longer than %s", m.limits.time)
	}
	return err
}

func (m *meter) over(format string, args ...any) *BudgetError {
	return &BudgetError{m.at, fmt.Sprintf(format, args...)}
}

// text fails where n times a size is beyond the limit.
func (m *meter) text(n, size int) {
	if n > 0 && size > m.limits.text/n {
		panic(m.over("a text of more than %d MiB", m.limits.text>>20))
	}
}

func (m *meter) items(n int) {
	if n < 0 || n > m.limits.items {
		panic(m.over("a list of more than %d values", m.limits.items))
	}
}

func (m *meter) size(v reflect.Value) {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		m.text(1, v.Len())
	case reflect.Slice:
		m.items(v.Len())
	}
}

func (m *meter) weighAll(args []reflect.Value) {
	left := m.limits.items
	for _, a := range args {
		if a.IsValid() && a.CanInterface() {
			m.weigh(a.Interface(), &left, 0)
		}
	}
}

// weigh visits a value as often as it would be written: a map that each of forty others holds twice is large.
func (m *meter) weigh(v any, left *int, depth int) {
	*left--
	if *left < 0 {
		panic(m.over("a value of more than %d values", m.limits.items))
	}
	if depth > m.limits.depth {
		panic(m.over("a value that contains itself"))
	}
	switch v := v.(type) {
	case string:
		*left -= len(v) / 64
	case map[string]any:
		for _, x := range v {
			m.weigh(x, left, depth+1)
		}
	case []any:
		for _, x := range v {
			m.weigh(x, left, depth+1)
		}
	case common.Values:
		m.weigh(map[string]any(v), left, depth)
	case []string:
		for _, x := range v {
			*left -= 1 + len(x)/64
		}
	}
}
