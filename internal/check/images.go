package check

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	imageLaptop  = rule.ID("image-laptop")
	imageMutable = rule.ID("image-mutable")
	pullPolicy   = rule.ID("pull-policy")
)

// images checks where containers' images come from.
func images(s *subject, e *environment) found {
	var all []finding.Finding
	for _, o := range e.objects {
		for _, u := range imageUses(o) {
			all = append(all, checkRegistry(s, e, u)...)
			all = append(all, checkMutable(s, e, u)...)
			all = append(all, checkPullPolicy(s, e, u)...)
		}
	}
	return found{findings: all}
}

// imageUse is one image that an object names; field is empty where it is not in a container of its pods.
type imageUse struct {
	object.Object
	reference.Reference
	field, policy string
}

func imageUses(o object.Object) []imageUse {
	var one object.Set
	if one.Add(o) != nil {
		return nil
	}
	var containers []container
	if w, ok := workloadOf(o); ok {
		containers = w.containers()
	}
	var out []imageUse
	for _, named := range image.Uses(one) {
		u := imageUse{Object: o, Reference: reference.Parse(named.Reference)}
		for _, c := range containers {
			if c.name == named.Container && c.body["image"] == named.Reference {
				u.field, u.policy = c.path+".image", text(c.body["imagePullPolicy"])
			}
		}
		out = append(out, u)
	}
	return out
}

func checkRegistry(s *subject, e *environment, u imageUse) []finding.Finding {
	host := reference.Host(u.Repository)
	declared, _, _ := strings.Cut(e.Registry, "/")
	switch {
	case reference.IsLaptop(host):
		return []finding.Finding{imageLaptop.New(u.Object, u.field,
			"image %s comes from %s, a laptop's registry: nodes of %s cannot pull it", u.Reference, host, e.Name)}
	case host != declared && reference.IsPrivate(host):
		f := imageLaptop.New(u.Object, u.field,
			"image %s comes from %s, in a private network: nodes outside it cannot pull it", u.Reference, host)
		return []finding.Finding{f.WarnUnless(isUsedLocally(s, host))}
	}
	return nil
}

// isUsedLocally reports whether a local environment pulls from a registry.
func isUsedLocally(s *subject, host string) bool {
	return slices.ContainsFunc(s.envs, func(e *environment) bool {
		return e.Class == project.Local && slices.ContainsFunc(image.Uses(e.Set), func(u image.Use) bool {
			return reference.Host(u.Reference) == host
		})
	})
}

func checkMutable(s *subject, e *environment, u imageUse) []finding.Finding {
	if u.IsSeries() {
		f := imageMutable.New(u.Object, u.field, "image %s: tag %q moves to each new version of its series, so "+
			"pods may run different ones", u.Reference, u.Tag)
		f.Fix = "Name the whole version, or add the digest."
		f.Severity = finding.Warning
		return []finding.Finding{f}
	}
	if !u.MayMove() || reference.IsLaptop(reference.Host(u.Repository)) { // checkRegistry reports it
		return nil
	}
	certain, when := u.IsMutable(), ""
	if u.Tag == "" && isOwn(s.Project, u, true) { // a deploy puts the digest in
		return nil
	}
	if isOwn(s.Project, u, false) {
		certain, when = false, " when a tool other than slipway deploys it"
	}
	what := fmt.Sprintf("tag %q moves", u.Tag)
	if u.Tag == "" {
		what = "it has no tag"
	}
	f := imageMutable.New(u.Object, u.field, "image %s: %s, so pods run whatever was pushed last%s",
		u.Reference, what, when)
	return []finding.Finding{blameDefault(s.files, e.Charts, u, f.WarnUnless(certain))}
}

// isOwn reports whether the project file lists the image as one of the project's own, or a skaffold.yaml does
// where its artifacts count.
func isOwn(p project.Project, u imageUse, artifacts bool) bool {
	own := slices.DeleteFunc(slices.Clone(p.Images), func(i project.Image) bool {
		return !(artifacts && i.Artifact) && (i.Detected || p.File == "")
	})
	return isOneOf(own, u)
}

// isOneOf reports whether images of the project have the name of a use.
func isOneOf(images []project.Image, u imageUse) bool {
	var one object.Set
	if len(images) == 0 || one.Add(u.Object) != nil {
		return false
	}
	for _, img := range images {
		matched, _ := image.Match([]project.Image{img}, one)
		if len(matched) > 0 && matched[0].Repository == u.Repository {
			return true
		}
	}
	return false
}

func checkPullPolicy(s *subject, e *environment, u imageUse) []finding.Finding {
	if u.field == "" {
		return nil
	}
	field := strings.TrimSuffix(u.field, "image") + "imagePullPolicy"
	switch {
	case u.policy == "Never":
		return []finding.Finding{pullPolicy.New(u.Object, field,
			"imagePullPolicy is Never: pods start only on nodes that already have %s", u.Reference)}
	case u.policy == "IfNotPresent" && u.MayMove():
		return []finding.Finding{pullPolicy.New(u.Object, field,
			"imagePullPolicy is IfNotPresent and the tag of %s moves: nodes keep the old image", u.Reference)}
	case u.policy == "" && u.Tag == "latest" && u.Digest != "":
		f := pullPolicy.New(u.Object, u.field,
			"the tag latest sets imagePullPolicy to Always despite the digest: no pod starts while the "+
				"registry is down")
		f.Fix = "Write " + u.Repository + "@" + u.Digest + "."
		return []finding.Finding{f}
	case u.policy == "" && u.MayMove() && u.Tag != "latest" && u.Tag != "" &&
		e.Class == project.Staging && !isOwn(s.Project, u, false):
		return []finding.Finding{pullPolicy.New(u.Object, u.field,
			"tag %q moves and imagePullPolicy defaults to IfNotPresent: nodes keep the old image", u.Tag)}
	}
	return nil
}
