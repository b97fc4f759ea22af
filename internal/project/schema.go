package project

import (
	"fmt"
	"path"

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
	})
	if err != nil {
		return err
	}
	if p.Name == "" {
		return r.fail(n, "project is missing: the project's name")
	}
	if len(p.Environments) == 0 {
		return r.fail(n, "environments is missing: at least one")
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
					return r.fail(v, "argument %s must be a string", k.Value)
				}
				img.BuildArgs[k.Value] = v.Value
				return nil
			})
		},
		"platforms": func(n *yaml.Node) error {
			return r.items(n, "platforms", func(n *yaml.Node) error {
				img.Platforms = append(img.Platforms, "")
				return r.text(&img.Platforms[len(img.Platforms)-1], "platform", platform)(n)
			})
		},
	})
	if err != nil {
		return err
	}
	if img.Name == "" {
		return r.fail(n, "an image without a name")
	}
	for _, other := range p.Images {
		if other.Name == img.Name {
			return r.fail(n, "image %q is there twice", img.Name)
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

func (r *reader) environment(p *Project, key, n *yaml.Node) error {
	env := Environment{Line: key.Line}
	if err := r.text(&env.Name, "environment name", label)(key); err != nil {
		return err
	}
	var class string
	err := r.fields(n, "environment "+env.Name, map[string]func(*yaml.Node) error{
		"path":      r.within(&env.Path, "path", true),
		"context":   r.text(&env.Context, "context", nil),
		"namespace": r.text(&env.Namespace, "namespace", label),
		"registry":  r.text(&env.Registry, "registry", registry),
		"class": func(n *yaml.Node) error {
			if err := r.text(&class, "class", nil)(n); err != nil {
				return err
			}
			switch env.Class = Class(class); env.Class {
			case Local, Staging, Production:
				return nil
			}
			hint := ""
			if s := Suggest(class, []string{string(Local), string(Staging), string(Production)}); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			return r.fail(n, "unknown class %q%s: it is local, staging or production", class, hint)
		},
	})
	if err != nil {
		return err
	}
	if env.Path == "" {
		return r.fail(key, "environment %s has no path", env.Name)
	}
	if env.Class == "" {
		var note string
		env.Class, note = classOf(env.Name)
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
	p.Environments = append(p.Environments, env)
	return nil
}
