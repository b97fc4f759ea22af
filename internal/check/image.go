package check

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/object"
	"slipway/internal/project"
)

var (
	imageLaptop = finding.Rule{ID: "image-laptop", Group: "crossing", Classes: []project.Class{project.Staging,
		project.Production}, Severity: finding.Error,
		Title: "An image comes from a laptop's registry",
		Why: "The registry is one that only a laptop reaches. Where it is not on a laptop, no node finds it, " +
			"and the pods stay in ImagePullBackOff. Mostly an override of the image was meant, and matches nothing.",
		Fix: "Name the image as the base has it, registry included:\n\n```yaml\nimages:\n  - name: " +
			"k3d-registry.localhost:5000/myapp\n    newName: ghcr.io/acme/myapp\n    newTag: sha-3f9c2e1\n```"}
	imageMutable = finding.Rule{ID: "image-mutable", Group: "crossing", Classes: production,
		Severity: finding.Error,
		Title:    "An image in production can change without a deploy",
		Why: "`latest`, `dev`, the name of a branch, or no tag at all is whatever was pushed last. Two pods " +
			"of one Deployment may run different code, and a rollback brings nothing back.",
		Fix: "Name a version, a commit (`sha-3f9c2e1`) or a digest."}
	pullPolicy = finding.Rule{ID: "pull-policy", Group: "crossing", Classes: []project.Class{project.Staging,
		project.Production}, Severity: finding.Warning,
		Title: "The pull policy does not fit the image",
		Why: "Without imagePullPolicy the tag decides: `latest`, or none, is asked for at every start of a " +
			"pod, even beside a digest; anything else is taken from the node if it is there. A tag that moves and " +
			"is not asked for again leaves old code on some nodes. `Never` needs an image that somebody has put on " +
			"each node.",
		Fix: "Name images by digest or by a tag that never moves, and leave imagePullPolicy out."}
)

// images are the rules on where containers' images come from.
var images = group{
	rules: []finding.Rule{imageLaptop, imageMutable, pullPolicy},
	each: func(r *run, env environment) {
		s := take(r, env)
		for _, o := range s.objects {
			for _, u := range s.uses(o) {
				s.laptop(u)
				s.mutable(u)
				s.pulls(u)
			}
		}
	},
}

// use is one image that an object names, in its parts.
type use struct {
	object.Object
	field, repository, tag, digest, policy string
}

func (u use) reference() string {
	r := u.repository
	if u.tag != "" {
		r += ":" + u.tag
	}
	if u.digest != "" {
		r += "@" + u.digest
	}
	return r
}

func (s *stock) uses(o object.Object) []use {
	var one object.Set
	if one.Add(o) != nil {
		return nil
	}
	var out []use
	var containers []container
	if w, ok := runs(o); ok {
		containers = w.containers()
	}
	for _, named := range image.Uses(one) {
		u := use{Object: o}
		for _, c := range containers {
			if c.name == named.Container && c.body["image"] == named.Reference {
				u.field, u.policy = c.path+".image", text(c.body["imagePullPolicy"])
			}
		}
		u.repository, u.digest, _ = strings.Cut(named.Reference, "@")
		if colon := strings.LastIndex(u.repository, ":"); colon > strings.LastIndex(u.repository, "/") {
			u.repository, u.tag = u.repository[:colon], u.repository[colon+1:]
		}
		out = append(out, u)
	}
	return out
}

func (s *stock) laptop(u use) {
	host := reference.Host(u.repository)
	declared, _, _ := strings.Cut(s.Registry, "/")
	switch {
	case reference.IsLaptop(host):
		s.tell(imageLaptop, true, u.Object, u.field, "",
			"it runs %s: %s is a laptop's registry, which no node of %s reaches", u.reference(), host, s.Name)
	case host != "" && host != declared && reference.IsPrivate(host):
		s.tell(imageLaptop, s.onLaptop(host), u.Object, u.field, "",
			"it runs %s: %s is an address of a private network", u.reference(), host)
	}
}

// onLaptop says whether a laptop's environment takes images from there too.
func (s *stock) onLaptop(host string) bool {
	return slices.ContainsFunc(s.envs, func(e environment) bool {
		return e.Class == project.Local && slices.ContainsFunc(image.Uses(e.set), func(u image.Use) bool {
			return reference.Host(u.Reference) == host
		})
	})
}

// moves says whether a reference stands for different images over time, and whether that is sure.
func (u use) moves() (moves, sure bool) {
	r := reference.Parse(u.reference())
	return r.MayMove(), r.IsMutable()
}

func (s *stock) mutable(u use) {
	moves, sure := u.moves()
	if !moves || reference.IsLaptop(reference.Host(u.repository)) { // another image is meant anyway
		return
	}
	what := fmt.Sprintf("its tag %q is", u.tag)
	if u.tag == "" {
		what = "it has no tag: that is"
	}
	more := ""
	if s.pinned(u) { // a deploy names the digest
		if u.tag == "" {
			return
		}
		sure, more = false, " if anything but slipway deploys it"
	}
	if !imageMutable.Holds(s.Class) {
		return
	}
	f := imageMutable.New(u.Object, u.field, "it runs %s: %s whatever was pushed last%s",
		u.reference(), what, more)
	if !sure {
		f.Severity = finding.Warning
	}
	s.fallsThrough(u, &f)
	s.find(f)
}

// pinned says whether the project file lists the image as one of its own.
func (s *stock) pinned(u use) bool {
	own := slices.DeleteFunc(slices.Clone(s.Project.Images), func(i project.Image) bool { return i.Detected })
	if s.Project.File == "" || len(own) == 0 {
		return false
	}
	var one object.Set
	if one.Add(u.Object) != nil {
		return false
	}
	for _, img := range own {
		matched, _ := image.Match([]project.Image{img}, one)
		if len(matched) > 0 && matched[0].Repository == u.repository {
			return true
		}
	}
	return false
}

func (s *stock) pulls(u use) {
	if u.field == "" {
		return
	}
	field := strings.TrimSuffix(u.field, "image") + "imagePullPolicy"
	moves, _ := u.moves()
	switch {
	case u.policy == "Never":
		s.tell(pullPolicy, false, u.Object, field, "", "Never: %s must have been put on each node by hand",
			u.reference())
	case u.policy == "IfNotPresent" && moves:
		s.tell(pullPolicy, false, u.Object, field, "",
			"IfNotPresent, and %s moves: nodes that have an old one keep it", u.reference())
	case u.policy == "" && u.tag == "latest" && u.digest != "":
		s.tell(pullPolicy, false, u.Object, u.field, u.repository+"@"+u.digest, "the digest says what runs, and "+
			"the tag latest makes the policy Always: no pod starts while the registry is away")
	case u.policy == "" && moves && u.tag != "latest" && u.tag != "" &&
		s.Class == project.Staging && !s.pinned(u):
		s.tell(pullPolicy, false, u.Object, u.field, "",
			"its tag %q moves, and the policy is IfNotPresent: nodes that have an old one keep it", u.tag)
	}
}
