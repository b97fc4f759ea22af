package check

import (
	"context"
	"fmt"
	"os"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/project/tilt"
)

const (
	debugForward = rule.ID("debug-forward")
	laptopBuild  = rule.ID("laptop-build")
)

// laptop checks that production has nothing of what a Tiltfile sets up for development alone.
func laptop(_ context.Context, s *subject) found {
	if !s.isFile("Tiltfile") {
		return found{}
	}
	root, err := os.OpenRoot(s.Project.Dir)
	if err != nil {
		return found{}
	}
	defer root.Close()
	t := tilt.Read(root.FS(), "Tiltfile")
	var all found
	var others []string // environments that are not a laptop's
	for _, e := range s.envs {
		if e.Class != project.Local {
			others = append(others, e.Name)
		}
		if e.Class == project.Production {
			all.add(found{findings: checkDebugPorts(e, t.DebugPorts())}.in(e.Name))
		}
	}
	if len(others) == 0 {
		return all
	}
	for _, i := range s.Project.Images {
		for _, b := range t.Images {
			if b.Dockerfile == i.Dockerfile && b.Target == i.Target && b.IsForDevelopment() {
				what := i.Dockerfile
				if i.Target != "" {
					what += ", stage " + i.Target
				}
				f := laptopBuild.In(finding.Place{File: b.File, Line: b.Line},
					"image %s is built from %s, which the Tiltfile uses for development", i.Name, what)
				f.Environments = others
				all.findings = append(all.findings, f)
			}
		}
	}
	return all
}

// checkDebugPorts finds the ports of containers and Services on which a Tiltfile's debuggers listen.
func checkDebugPorts(e *environment, ports []tilt.Forward) []finding.Finding {
	var all []finding.Finding
	for _, w := range e.workloads {
		for _, f := range ports {
			if !debugs(f, w) {
				continue
			}
			for _, field := range opened(w, f.Port) {
				all = append(all, debugForward.New(w.Object, field,
					"port %d is the one on which %s debugs it: every client that reaches the debugger can run any code",
					f.Port, f.Place))
			}
			for _, o := range e.list("", "Service", e.namespaceOf(w.Object)) {
				selector := labelSet(object.Mapping(o.At("spec", "selector")))
				if len(selector) == 0 || !takes(selector.AsSelector(), w) {
					continue
				}
				for i, p := range object.Mappings(o.At("spec", "ports")) {
					if n, ok := number(p["targetPort"]); ok && n == f.Port {
						all = append(all, debugForward.New(o, fmt.Sprintf("spec.ports[%d].targetPort", i),
							"port %d is the one on which %s debugs %s: the Service opens it to the cluster", f.Port, f.Place,
							w.Ref().Name))
					}
				}
			}
		}
	}
	return all
}

// debugs reports whether a forwarded port is one of a workload's.
func debugs(f tilt.Forward, w workload) bool {
	return w.Ref().Name == f.Workload || slices.ContainsFunc(imageUses(w.Object), func(u imageUse) bool {
		return f.Image != "" && (u.Repository == f.Image || len(u.Repository) > len(f.Image) &&
			u.Repository[len(u.Repository)-len(f.Image)-1:] == "/"+f.Image)
	})
}

// opened are the fields with which containers declare a port. The rule debug-port reports those that are
// called like a debugger's.
func opened(w workload, port int) (fields []string) {
	for _, c := range w.containers() {
		for i, p := range object.Mappings(c.body["ports"]) {
			n, ok := number(p["containerPort"])
			if ok && n == port && n != 9229 && !tilt.IsDebuggerName(text(p["name"])) {
				fields = append(fields, fmt.Sprintf("%s.ports[%d].containerPort", c.path, i))
			}
		}
	}
	return fields
}
