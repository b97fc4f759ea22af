package rollout

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"slipway/internal/object"
	"slipway/internal/project"
)

// judgeCost bounds one expression, in CEL's units: an object has at most 1.5 MB.
const judgeCost = 1_000_000

// Judge decides on the health of live objects: by the rules of a project where it has some, and else by those
// of kinds. The zero value has no rules.
type Judge struct{ rules map[string]verdict } // by KIND.GROUP

// verdict is a compiled rule; failed and message may be nil.
type verdict struct {
	healthy, failed, message cel.Program
	ignore                   bool
	line                     int
}

// NewJudge compiles the rules of a project. It fails with the line of an expression that is not valid.
func NewJudge(p project.Project) (Judge, error) {
	j := Judge{map[string]verdict{}}
	if len(p.Health) == 0 {
		return j, nil
	}
	env, err := cel.NewEnv(cel.OptionalTypes(), cel.CrossTypeNumericComparisons(true), ext.Strings(),
		cel.Variable("object", cel.DynType))
	if err != nil {
		return j, err
	}
	for _, r := range p.Health {
		v := verdict{ignore: r.Ignore, line: r.Line}
		for _, e := range []struct {
			key, text string
			into      *cel.Program
			want      *cel.Type
		}{
			{"healthy", r.Healthy, &v.healthy, cel.BoolType}, {"failed", r.Failed, &v.failed, cel.BoolType},
			{"message", r.Message, &v.message, cel.StringType},
		} {
			if *e.into, err = compile(env, e.text, e.want); err != nil {
				return j, fmt.Errorf("%s:%d: health of %s: %s: %w", project.File, r.Line, r.Kind, e.key, err)
			}
		}
		j.rules[r.Kind] = v
	}
	return j, nil
}

func compile(env *cel.Env, text string, want *cel.Type) (cel.Program, error) {
	if text == "" {
		return nil, nil
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%s", issues.Errors()[0].Message)
	}
	if is := ast.OutputType(); !is.IsExactType(want) && !is.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it returns %s instead of %s", is, want)
	}
	return env.Program(ast, cel.CostLimit(judgeCost))
}

func (j Judge) rule(o object.Object) (verdict, bool) {
	kind := o.Ref().Kind
	if o.Ref().Group != "" {
		kind += "." + o.Ref().Group
	}
	v, ok := j.rules[kind]
	return v, ok
}

// Blocking says whether a deploy waits for an object.
func (j Judge) Blocking(o object.Object) bool {
	v, ok := j.rule(o)
	if _, stated := o.Annotations()[object.WaitAnnotation]; !ok || stated {
		return o.Blocking()
	}
	return !v.ignore
}

// Health returns the health of a live object.
func (j Judge) Health(o object.Object) object.Health {
	v, ok := j.rule(o)
	if !ok {
		return o.Health()
	}
	generation, _ := o.At("metadata", "generation").(int64)
	observed, states := o.At("status", "observedGeneration").(int64)
	switch {
	case o.At("metadata", "deletionTimestamp") != nil:
		return object.Health{Status: object.Terminating, Message: "it is being deleted"}
	case v.ignore:
		text := fmt.Sprintf("not judged: %s:%d", project.File, v.line)
		return object.Health{Status: object.Current, Message: text}
	case states && observed < generation:
		return object.Health{Status: object.InProgress, Message: object.Unseen}
	}
	if failed, _ := v.is(v.failed, o); failed {
		return object.Health{Status: object.Failed, Message: v.text(o, nil)}
	}
	healthy, err := v.is(v.healthy, o)
	if healthy {
		return object.Health{Status: object.Current, Message: "healthy"}
	}
	return object.Health{Status: object.InProgress, Message: v.text(o, err)}
}

// is evaluates an expression; nil is false.
func (v verdict) is(p cel.Program, o object.Object) (bool, error) {
	if p == nil {
		return false, nil
	}
	value, err := evaluate(p, o)
	is, _ := value.(bool)
	return is, err
}

// text is about an object that is not healthy.
func (v verdict) text(o object.Object, err error) string {
	if v.message != nil {
		if value, err := evaluate(v.message, o); err == nil {
			if text, ok := value.(string); ok && text != "" {
				return text
			}
		}
	}
	text := fmt.Sprintf("the rule at %s:%d is not met yet", project.File, v.line)
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

func evaluate(p cel.Program, o object.Object) (any, error) {
	value, _, err := p.Eval(map[string]any{"object": o.Body})
	if err != nil {
		return nil, err
	}
	return value.Value(), nil
}
