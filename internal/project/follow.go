package project

import (
	"regexp"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

func (r *reader) follow(env *Environment, n *yaml.Node) error {
	f := Follow{Line: n.Line}
	err := r.fields(n, "follow", map[string]func(*yaml.Node) error{
		"image": r.text(&f.Image, "image", nil),
		"semver": func(n *yaml.Node) error {
			err := r.text(&f.Semver, "semver", nil)(n)
			if err != nil {
				return err
			}
			if _, err := semver.NewConstraint(f.Semver); err != nil {
				return r.fail(n, "invalid semver %q: want a range such as >=1.2 <2", f.Semver)
			}
			return nil
		},
		"newest": func(n *yaml.Node) error {
			err := r.text(&f.Newest, "newest", nil)(n)
			if err != nil {
				return err
			}
			if _, err := regexp.Compile(f.Newest); err != nil {
				return r.fail(n, "invalid newest %q: want a regular expression of tags such as ^main-", f.Newest)
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return err
	case f.Image == "" || (f.Semver == "") == (f.Newest == ""):
		return r.fail(n, "an entry of follow needs image, and one of semver and newest")
	}
	env.Follow = append(env.Follow, f)
	return nil
}
