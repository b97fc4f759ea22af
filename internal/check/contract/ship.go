package contract

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/object"
)

// laptopTool is a command for whoever changes the code while it runs.
var laptopTool = regexp.MustCompile(
	`(^|[\s/])(nodemon|air|dlv|debugpy|ts-node-dev)(\s|$)|(^|\s)--(reload|inspect(-brk)?)([=\s]|$)|\bflask\s.*--debug`)

// laptopCommand: A runs a tool for development, and B does not.
func laptopCommand(c change) bool {
	return laptopTool.MatchString(spoken(c.field.Before)) && !laptopTool.MatchString(spoken(c.field.After))
}

// spoken is a command as one would type it.
func spoken(v any) string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprint(e))
	}
	return strings.Join(out, " ")
}

// mustNotShip looks for what belongs on a laptop in an object of B, whether A has it too or not.
func (c *comparison) mustNotShip(p pair) {
	for _, rule := range object.Mappings(p.b.At("spec", "rules")) {
		if host, _ := rule["host"].(string); p.b.Ref().Kind == "Ingress" && laptopHost(host) {
			c.refuse(p, "spec.rules[host="+host+"].host", "host", "it means whichever machine looks it up")
		}
	}
	spec, path, ok := p.b.PodSpec()
	if !ok {
		return
	}
	for _, container := range object.Containers(spec, path) {
		if image, _ := container.Body["image"].(string); laptopRegistry(image) {
			c.refuse(p, container.Path+".image", "image", "a laptop's registry: no other cluster can pull from it")
		}
		for _, field := range []string{"command", "args"} {
			if laptopTool.MatchString(spoken(container.Body[field])) {
				c.refuse(p, container.Path+"."+field, "development command",
					"it is for whoever changes the code while it runs")
			}
		}
	}
}

// refuse notes a field of B that must not be so, in place of the difference that it may also be.
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
		c.result.Equal -= leaves(d.B)
	}
	c.note(d, p)
}

// laptopRegistry: the registry that an image comes from is one that other machines do not reach.
func laptopRegistry(image string) bool {
	host, _, found := strings.Cut(image, "/")
	if !found {
		return false
	}
	host, _, port := strings.Cut(host, ":")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate()
	}
	dotted := strings.HasPrefix(host, "k3d-") || strings.HasPrefix(host, "kind-registry")
	return laptopHost(host) || dotted && (port || strings.Contains(host, ".")) || host == "host.docker.internal"
}

func laptopHost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
