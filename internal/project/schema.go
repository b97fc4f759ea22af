package project

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) project(p *Project, n *yaml.Node) error {
	err := r.fields(n, "the file", map[string]func(*yaml.Node) error{
		"project": r.text(&p.Name, "project name", label),
		"images": func(n *yaml.Node) error {
			return r.items(n, "images", func(n *yaml.Node) error { return r.image(p, n) })
		},
		"environments": func(n *yaml.Node) error {
			return r.entries(n, "environments", func(k, v *yaml.Node) error { return r.environment(p, k, v) })
		},
		"rules": func(n *yaml.Node) error {
			return r.items(n, "rules", func(n *yaml.Node) error { return r.rules(&p.Rules, n) })
		},
		"remotes": r.texts(&p.Remotes, "remotes", "address", address),
		"health": func(n *yaml.Node) error {
			return r.items(n, "health", func(n *yaml.Node) error { return r.health(p, n) })
		},
		"exceptions": func(n *yaml.Node) error {
			return r.items(n, "exceptions", func(n *yaml.Node) error { return r.exception(p, n) })
		},
	})
	if err != nil {
		return err
	}
	if p.Name == "" {
		return r.fail(n, "project is missing: set it to the project's name")
	}
	if len(p.Environments) == 0 {
		return r.fail(n, "environments is missing: define at least one")
	}
	p.Notes = append(p.Notes, classify(p.Environments)...)
	if err := r.fromKnown(*p); err != nil {
		return err
	}
	for i := range p.Environments {
		if err := r.releases(p, &p.Environments[i]); err != nil {
			return err
		}
	}
	return r.exceptFor(p)
}

// rules reads the name of a file of rules, or of a directory with such files.
func (r *reader) rules(into *[]string, n *yaml.Node) error {
	var name string
	if err := r.within(&name, "rules", true)(n); err != nil {
		if err := r.within(&name, "the file of rules", false)(n); err != nil {
			return err
		}
		*into = append(*into, name)
		return nil
	}
	entries, err := fs.ReadDir(r.root.FS(), name)
	if err != nil {
		return r.fail(n, "rules %s: %w", name, err)
	}
	known := len(*into)
	for _, e := range entries {
		if file := path.Join(name, e.Name()); path.Ext(file) == ".yaml" && r.is(name, e.Name()) {
			*into = append(*into, file)
		}
	}
	if len(*into) == known {
		return r.fail(n, "rules %s: the directory has no *.yaml file", name)
	}
	return nil
}

func (r *reader) image(p *Project, n *yaml.Node) error {
	img := Image{Context: "."}
	at := n
	err := r.fields(n, "an image", map[string]func(*yaml.Node) error{
		"name":       r.text(&img.Name, "image name", imageName),
		"context":    r.within(&img.Context, "context", true),
		"dockerfile": func(n *yaml.Node) error { at = n; return r.within(&img.Dockerfile, "dockerfile", false)(n) },
		"target":     r.text(&img.Target, "target", nil),
		"args": func(n *yaml.Node) error {
			img.BuildArgs = map[string]string{}
			return r.entries(n, "args", func(k, v *yaml.Node) error {
				if v.Kind != yaml.ScalarNode || v.ShortTag() == "!!null" {
					return r.fail(v, "argument %s must be a string: no value is taken from the environment", k.Value)
				}
				img.BuildArgs[k.Value] = v.Value
				return nil
			})
		},
		"platforms": r.texts(&img.Platforms, "platforms", "platform", platform),
		"secrets": func(n *yaml.Node) error {
			return r.entries(n, "secrets", func(k, v *yaml.Node) error { return r.secret(&img, k, v) })
		},
		"ssh":        r.boolean(&img.SSH, "ssh"),
		"cache":      func(n *yaml.Node) error { return r.cache(&img.Cache, n) },
		"provenance": r.text(&img.Provenance, "provenance", provenance),
		"sbom":       r.text(&img.SBOM, "sbom", reference),
	})
	if err != nil {
		return err
	}
	if img.Name == "" {
		return r.fail(n, "an image needs a name")
	}
	if img.Provenance == "off" {
		img.Provenance = ""
	}
	for _, other := range p.Images {
		if other.Name == img.Name {
			return r.fail(n, "duplicate image %q", img.Name)
		}
	}
	if img.Dockerfile == "" {
		img.Dockerfile = path.Join(img.Context, "Dockerfile")
		if err := r.exists(at, "dockerfile", img.Dockerfile, false); err != nil {
			return err
		}
	}
	p.Images = append(p.Images, img)
	return nil
}

func (r *reader) secret(img *Image, key, n *yaml.Node) error {
	s := Secret{ID: key.Value}
	err := r.fields(n, "secret "+s.ID, map[string]func(*yaml.Node) error{
		"env":  r.text(&s.Env, "env", variable),
		"file": r.text(&s.File, "file", nil),
	})
	switch {
	case err != nil:
		return err
	case (s.Env == "") == (s.File == ""):
		return r.fail(n, "secret %s needs either env or file, which holds its value", s.ID)
	case s.File != "" && !filepath.IsLocal(filepath.FromSlash(s.File)):
		return r.fail(n, "file %s of secret %s is outside the project's directory", s.File, s.ID)
	}
	img.Secrets = append(img.Secrets, s)
	return nil
}

func (r *reader) cache(into *Cache, n *yaml.Node) error {
	err := r.fields(n, "cache", map[string]func(*yaml.Node) error{
		"registry": r.text(&into.Registry, "registry", reference),
		"local":    r.text(&into.Local, "local", nil),
		"inline":   r.boolean(&into.Inline, "inline"),
		"github":   r.boolean(&into.GitHub, "github"),
	})
	if err == nil && into.Local != "" && !filepath.IsLocal(filepath.FromSlash(into.Local)) {
		return r.fail(n, "cache directory %s is outside the project's directory", into.Local)
	}
	return err
}

func (r *reader) environment(p *Project, key, n *yaml.Node) error {
	env := Environment{Line: key.Line}
	if err := r.text(&env.Name, "environment name", label)(key); err != nil {
		return err
	}
	err := r.fields(n, "environment "+env.Name, map[string]func(*yaml.Node) error{
		"path": func(n *yaml.Node) error {
			if n.Kind == yaml.SequenceNode {
				return r.items(n, "path", func(n *yaml.Node) error { return r.path(&env, n) })
			}
			return r.path(&env, n)
		},
		"charts": func(n *yaml.Node) error {
			return r.items(n, "charts", func(n *yaml.Node) error { return r.chart(&env, n) })
		},
		"skaffold":    func(n *yaml.Node) error { return r.skaffold(&env, n) },
		"noHooks":     r.boolean(&env.NoHooks, "noHooks"),
		"kubeVersion": r.text(&env.KubeVersion, "kubeVersion", kubeVersion),
		"apiVersions": r.texts(&env.APIVersions, "apiVersions", "API version", apiVersion),
		"context":     r.text(&env.Context, "context", nil),
		"namespace":   r.text(&env.Namespace, "namespace", label),
		"registry":    r.text(&env.Registry, "registry", registry),
		"class":       func(n *yaml.Node) error { return r.class(&env.Class, n) },
		"gates":       func(n *yaml.Node) error { return r.gates(&env, n) },
		"follow": func(n *yaml.Node) error {
			return r.items(n, "follow", func(n *yaml.Node) error { return r.follow(&env, n) })
		},
		"verify": func(n *yaml.Node) error {
			return r.items(n, "verify", func(n *yaml.Node) error { return r.verification(&env, n) })
		},
		"signatures": func(n *yaml.Node) error {
			return r.items(n, "signatures", func(n *yaml.Node) error { return r.signature(&env, n) })
		},
	})
	if err != nil {
		return err
	}
	switch {
	case env.Skaffold != nil && (len(env.Paths) > 0 || len(env.Charts) > 0):
		return r.fail(key, "environment %s has both skaffold and path or charts: skaffold.yaml names these itself",
			env.Name)
	case env.Gates != nil && len(env.Follow) > 0:
		return r.fail(key, "environment %s has both gates and follow: its images come from %s, or from a registry",
			env.Name, env.Gates.From)
	case env.Skaffold == nil && len(env.Paths) == 0 && len(env.Charts) == 0:
		return r.fail(key, "environment %s needs a path, charts or skaffold", env.Name)
	}
	p.Environments = append(p.Environments, env)
	return nil
}

func (r *reader) path(env *Environment, n *yaml.Node) error {
	var p string
	err := env.keep(r.within(&p, "path", !isManifestName(n.Value))(n))
	switch {
	case err != nil:
		return err
	case r.is(p, "Chart.yaml") && !r.kustomized(p):
		return r.fail(n, "path %s is a Helm chart: write charts: [{path: %s}]", p, p)
	case slices.Contains(env.Paths, p):
		return r.fail(n, "path %s is listed twice", p)
	}
	env.Paths = append(env.Paths, p)
	return nil
}

func (r *reader) signature(env *Environment, n *yaml.Node) error {
	var s Signature
	err := r.fields(n, "a signature", map[string]func(*yaml.Node) error{
		"key":         r.within(&s.Key, "key", false),
		"identity":    r.text(&s.Identity, "identity", nil),
		"issuer":      r.text(&s.Issuer, "issuer", address),
		"trustedRoot": r.within(&s.TrustedRoot, "trustedRoot", false),
	})
	switch {
	case err != nil:
		return err
	case s.Key == "" && (s.Identity == "" || s.Issuer == ""):
		return r.fail(n, "a signature needs a key, or an identity and its issuer")
	case s.Key != "" && s != Signature{Key: s.Key}:
		return r.fail(n, "a signature has either a key or an identity: write two signatures")
	}
	env.Signatures = append(env.Signatures, s)
	return nil
}

func (r *reader) class(into *Class, n *yaml.Node) error {
	var class string
	if err := r.text(&class, "class", nil)(n); err != nil {
		return err
	}
	switch *into = Class(class); *into {
	case Local, Staging, Production:
		return nil
	}
	hint := ""
	if s := Suggest(class, []string{string(Local), string(Staging), string(Production)}); s != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", s)
	}
	return r.fail(n, "unknown class %q%s: want local, staging or production", class, hint)
}

func (r *reader) chart(env *Environment, n *yaml.Node) error {
	c := Chart{Line: n.Line}
	at := n
	err := r.fields(n, "a chart", map[string]func(*yaml.Node) error{
		"path":       func(n *yaml.Node) error { at = n; return r.text(&c.Path, "path", nil)(n) },
		"repository": r.text(&c.Repository, "repository", address),
		"version":    r.text(&c.Version, "version", nil),
		"release":    r.text(&c.Release, "release", release),
		"namespace":  r.text(&c.Namespace, "namespace", label),
		"values": func(n *yaml.Node) error {
			return r.items(n, "values", func(n *yaml.Node) error {
				c.Values = append(c.Values, "")
				return env.keep(r.within(&c.Values[len(c.Values)-1], "values", false)(n))
			})
		},
		"set":        r.texts(&c.Set, "set", "assignment", assignment),
		"setString":  r.texts(&c.SetString, "setString", "assignment", assignment),
		"setJSON":    r.texts(&c.SetJSON, "setJSON", "assignment", nil),
		"setFile":    r.texts(&c.SetFile, "setFile", "assignment", assignment),
		"setLiteral": r.texts(&c.SetLiteral, "setLiteral", "assignment", assignment),
		"lookup":     r.boolean(&c.Lookup, "lookup"),
		"noHooks":    r.boolean(&c.NoHooks, "noHooks"),
		"patches": func(n *yaml.Node) error {
			known := len(env.Absent)
			err := env.keep(r.within(&c.Patches, "patches", true)(n))
			if err != nil || len(env.Absent) > known || r.kustomized(c.Patches) {
				return err
			}
			return r.fail(n, "patches %s has no kustomization.yaml", c.Patches)
		},
	})
	switch {
	case err != nil:
		return err
	case c.Path == "":
		return r.fail(n, "a chart needs a path: its directory, or its name in a repository")
	case c.Repository != "" && c.Version == "":
		return r.fail(n, "chart %s comes from a repository and needs a version", c.Path)
	case c.Repository == "" && c.Version != "":
		return r.fail(n, "chart %s has a version, but no repository: a chart in the project has only one version",
			c.Path)
	case c.Repository != "":
		env.Charts = append(env.Charts, c)
		return nil
	case address.matches(c.Path):
		return r.fail(at, "path %s is an address: write repository, version, and the chart's name as path", c.Path)
	}
	packed, known := strings.HasSuffix(c.Path, ".tgz"), len(env.Absent)
	if err := env.keep(r.within(&c.Path, "chart", !packed)(at)); err != nil {
		return err
	}
	if !packed && len(env.Absent) == known && !r.is(c.Path, "Chart.yaml") {
		return r.fail(at, "chart %s has no Chart.yaml", c.Path)
	}
	env.Charts = append(env.Charts, c)
	return nil
}

// releases names the release of an only chart after the project, and permits fetching charts from their
// repositories.
func (r *reader) releases(p *Project, env *Environment) error {
	for i := range env.Charts {
		c := &env.Charts[i]
		if c.Release == "" && len(env.Charts) > 1 {
			return r.fail(&yaml.Node{Line: c.Line},
				"chart %s needs a release: the environment has several charts", c.Path)
		}
		if c.Release == "" {
			c.Release = p.Name[:min(len(p.Name), 53)]
		}
		for _, other := range env.Charts[:i] {
			if other.Release == c.Release && other.Namespace == c.Namespace {
				return r.fail(&yaml.Node{Line: c.Line}, "duplicate release %q (first in line %d)",
					c.Release, other.Line)
			}
		}
		if c.Repository != "" && !slices.Contains(p.Remotes, c.Repository) {
			p.Remotes = append(p.Remotes, c.Repository)
		}
	}
	return nil
}

// skaffold reads the name of a file, or a file with profiles.
func (r *reader) skaffold(env *Environment, n *yaml.Node) error {
	s := Skaffold{File: "skaffold.yaml"}
	env.Skaffold = &s
	if n.Kind == yaml.ScalarNode {
		return env.keep(r.within(&s.File, "skaffold", false)(n))
	}
	at := n
	err := r.fields(n, "skaffold", map[string]func(*yaml.Node) error{
		"file":     func(n *yaml.Node) error { at = n; return r.text(&s.File, "file", nil)(n) },
		"profiles": r.texts(&s.Profiles, "profiles", "profile", nil),
	})
	if err != nil {
		return err
	}
	return env.keep(r.within(&s.File, "skaffold", false)(&yaml.Node{
		Kind: yaml.ScalarNode, Tag: "!!str", Value: s.File, Line: at.Line,
	}))
}
