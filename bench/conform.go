package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kubeconform holds rendered objects against JSON schemas, and looks at nothing else.
const kubeconform = "kubeconform"

// conforms measures it on the objects of a project that are rendered beforehand, with schemas on the disk.
func (b *bench) conforms(t *table, name, root, dir string, render ...[]string) error {
	schemas := filepath.Join(b.temp, "schemas")
	if err := writeSchemas(root, schemas); err != nil {
		return fmt.Errorf("schemas for kubeconform: %w", err)
	}
	args := []string{b.peers[kubeconform], "-strict", "-summary", "-output", "json", "-schema-location", schemas + "/{{.ResourceKind}}{{.KindSuffix}}.json"}
	for i, r := range render {
		file := filepath.Join(b.temp, fmt.Sprintf("rendered%d.yaml", i))
		if _, err := b.run(dir, file, b.home, append([]string{b.slipway, "render"}, r...)...); err != nil {
			return err
		}
		args = append(args, file)
	}
	file := filepath.Join(b.temp, "conform.json")
	cpu, wall, err := b.sampled(dir, file, 11, args...)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var report struct {
		Summary struct{ Valid, Invalid, Errors, Skipped int }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("what kubeconform printed: %w", err)
	}
	if s := report.Summary; s.Valid == 0 || s.Errors+s.Skipped > 0 {
		return fmt.Errorf("kubeconform did not look at all objects: %+v", s)
	}
	fmt.Fprintf(t.w, "%-32s %-14s %16s %16s %9s  %s\n", name, "schema only", both(cpu), both(wall), "", "(the peer)")
	t.note("kubeconform is given %d objects that are rendered already, and looks at the schema of each alone; check renders them, and looks at the schema,\n"+
		"  at overrides and values one by one, references, what must not and what must be in production, the workflows and the last commit",
		report.Summary.Valid+report.Summary.Invalid)
	return nil
}

// writeSchemas makes a JSON schema for each kind of the Kubernetes API out of its OpenAPI description,
// as kubeconform's own are made: each with all that it refers to, and strict.
func writeSchemas(root, dir string) error {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes")
	list.Dir = filepath.Join(root, "sandbox")
	module, err := list.Output()
	if err != nil {
		return fmt.Errorf("find k8s.io/kubernetes: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return err
	}
	var api struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(text, &api); err != nil {
		return err
	}
	// These two are texts for OpenAPI, and numbers as well for everybody else.
	either := map[string]any{"oneOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "number"}}}
	api.Definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = either
	api.Definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = either
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, d := range api.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // options of requests are in each group
			continue
		}
		needed := map[string]map[string]any{}
		reach(api.Definitions, needed, map[string]any{"$ref": "#/definitions/" + name})
		schema, err := json.Marshal(map[string]any{"$ref": "#/definitions/" + name, "definitions": needed})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, schemaName(kinds[0])), schema, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// schemaName is where kubeconform looks: deployment-apps-v1.json, service-v1.json.
func schemaName(kind any) string {
	k, _ := kind.(map[string]any)
	parts := []string{fmt.Sprint(k["kind"])}
	if group, _, _ := strings.Cut(fmt.Sprint(k["group"]), "."); group != "" {
		parts = append(parts, group)
	}
	return strings.ToLower(strings.Join(append(parts, fmt.Sprint(k["version"])), "-")) + ".json"
}

// reach adds the definitions that a part of a schema refers to. What lists its properties has no others.
func reach(all, needed map[string]map[string]any, part any) {
	switch part := part.(type) {
	case []any:
		for _, p := range part {
			reach(all, needed, p)
		}
	case map[string]any:
		if ref, ok := part["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			if d := maps.Clone(all[name]); needed[name] == nil {
				if d["properties"] != nil && d["additionalProperties"] == nil {
					d["additionalProperties"] = false
				}
				needed[name] = d
				reach(all, needed, d)
			}
			return
		}
		for _, p := range part {
			reach(all, needed, p)
		}
	}
}
