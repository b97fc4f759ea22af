package contract

import (
	"slices"
	"strings"

	"slipway/internal/check/rule"
	"slipway/internal/image/reference"
	"slipway/internal/object"
	"slipway/internal/project"
)

// dropsDevelopmentCommand: the container runs a command for development in A, and none in B.
func dropsDevelopmentCommand(c change) bool {
	field := c.field.Path
	container := field[:max(strings.LastIndex(field, ".command"), strings.LastIndex(field, ".args"), 0)]
	runs := func(o *object.Object) bool {
		return slices.ContainsFunc(rule.DevelopmentCommands(*o), func(f string) bool {
			return strings.HasPrefix(f, container+".")
		})
	}
	return runs(c.pair.a) && !runs(c.pair.b)
}

// mustNotShip finds what belongs on a laptop in an object of B, even where A has it too.
func (c *comparison) mustNotShip(p pair) {
	for _, field := range rule.LocalHosts(*p.b) {
		c.refuse(p, field, "host", "it resolves to the client's own machine")
	}
	spec, path, _ := p.b.PodSpec()
	for _, container := range object.Containers(spec, path) {
		if image, _ := container.Body["image"].(string); isLaptopRegistry(image, c.B.Environment) {
			c.refuse(p, container.Path+".image", "image", "a laptop's registry: other clusters cannot pull from it")
		}
	}
	for _, field := range rule.DevelopmentCommands(*p.b) {
		c.refuse(p, field, "development command", "it reloads or debugs the program")
	}
}

// refuse reports a field of B as MustNotShip, instead of as the difference that it may also be.
func (c *comparison) refuse(p pair, field, what, reason string) {
	d := Difference{Class: MustNotShip, What: what, Object: p.b.Ref(), Field: field, Reason: reason}
	steps, err := object.Steps(field)
	if err != nil {
		return
	}
	value := func(o *object.Object) any {
		if o == nil {
			return nil
		}
		v, _ := object.Value(o.Body, steps)
		return object.HideIn(v, c.secrets)
	}
	d.A, d.B = value(p.a), value(p.b)
	before := len(c.result.Differences)
	c.result.Differences = slices.DeleteFunc(c.result.Differences, func(o Difference) bool {
		same := o.Object == d.Object && o.Field == field
		if same {
			d.A = o.A
		}
		return same
	})
	if before == len(c.result.Differences) && p.a != nil {
		c.result.Equal -= countScalars(d.B)
	}
	c.note(d, p)
}

// isLaptopRegistry reports whether the nodes of an environment do not reach the registry of an image: it is
// a laptop's, or in a private network that the environment does not name as its registry.
func isLaptopRegistry(image string, env project.Environment) bool {
	host := reference.Host(image)
	declared, _, _ := strings.Cut(env.Registry, "/")
	return reference.IsLaptop(host) || host != declared && reference.IsPrivate(host)
}
