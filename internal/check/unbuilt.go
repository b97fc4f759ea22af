package check

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/check/workflow"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	imageUnbuilt     = rule.ID("image-unbuilt")
	imagePlaceholder = rule.ID("image-placeholder")
)

// placeholder matches a name or a tag that stands for another one.
var placeholder = lazyregexp.New(`^(placeholder|(image|tag|version)[-_]?placeholder|replace[-_]?(me|this)?|` +
	`change[-_]?(me|this)|todo|fixme|tbd|xxx+|your[-_].+|image[-_]?(tag|name)|(my[-_])?image|` +
	`[A-Z]+(_[A-Z]+)+|TAG|VERSION|IMAGE|SHA|COMMIT|REPLACE.*|PLACEHOLDER.*)$`)

// repositoryName matches what a registry accepts.
var repositoryName = lazyregexp.New(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`)

// unbuilt checks that what the environment runs is what CI pushes.
func unbuilt(s *subject, e *environment) found {
	if e.Class == project.Local {
		return found{}
	}
	read, _ := s.pipelines()
	pushes := read.Pushes()
	var all []finding.Finding
	seen := once{}
	for _, o := range e.objects {
		for _, u := range imageUses(o) {
			if u.field != "" && u.policy != "Never" && seen.first(u.Repository) {
				all = append(all, checkBuilt(s, e, u, pushes)...)
			}
		}
	}
	return found{findings: all}
}

// checkBuilt reports an image that no registry can have, and one that CI pushes elsewhere.
func checkBuilt(s *subject, e *environment, u imageUse, pushes []workflow.Push) []finding.Finding {
	isPushed := func(p workflow.Push) bool { return p.Pushes(u.Repository) }
	host := reference.Host(u.Repository)
	switch {
	case strings.TrimSpace(u.Repository) == "", u.Repository == "auto", strings.HasPrefix(u.Repository, "ko:"):
		return nil // a webhook, an image stream or ko names the image
	case isPlaceholder(u.Reference):
		return []finding.Finding{imagePlaceholder.New(u.Object, u.field,
			"image %s is a placeholder, and nothing in the repository replaces it: no node can pull it", u.Reference)}
	case reference.IsOfficial(u.Repository), reference.IsLaptop(host), slices.ContainsFunc(pushes, isPushed),
		isMade(s.Project, e, u):
		return nil
	}
	namesAccount := strings.Contains(strings.TrimPrefix(u.Repository, "docker.io/"), "/")
	push, ok := pushedAs(e, u, pushes)
	switch {
	case !namesAccount:
		where := ""
		if ok {
			where = fmt.Sprintf(" (%s pushes %s)", push.Place, push.Written())
		}
		f := imageUnbuilt.New(u.Object, u.field,
			"image %s has no registry: nodes pull docker.io/library/%s, which does not exist%s",
			u.Reference, u.Repository, where)
		f.Fix = newName(e, u, push, ok)
		return []finding.Finding{f}
	case ok:
		f := imageUnbuilt.New(u.Object, u.field, "image %s is pulled, and %s pushes %s, which nothing runs",
			u.Reference, push.Place, push.Written())
		f.Fix = newName(e, u, push, true)
		f.Severity = finding.Warning
		return []finding.Finding{f}
	}
	return nil
}

// isPlaceholder reports whether a reference stands for another one.
func isPlaceholder(r reference.Reference) bool {
	parts := strings.Split(r.Repository, "/")
	if hex, ok := strings.CutPrefix(r.Digest, "sha256:"); ok && hex != "" && strings.Trim(hex, hex[:1]) == "" {
		return true // all zeros, for a digest that a pipeline puts in
	}
	return !repositoryName().MatchString(r.Repository) || strings.ContainsAny(r.Tag, "${}<>%#@ ") ||
		placeholder().MatchString(r.Tag) || r.Digest == "" && slices.ContainsFunc(parts, placeholder().MatchString)
}

// isMade reports whether a deploy names the registry: the environment's, or Skaffold's.
func isMade(p project.Project, e *environment, u imageUse) bool {
	images := p.Images
	if e.Registry == "" {
		images = slices.DeleteFunc(slices.Clone(images), func(i project.Image) bool { return !i.Artifact })
	}
	return isOneOf(images, u)
}

// pushedAs returns the push that an image probably is: no environment outside of laptops uses that one under
// its own name, and the names agree.
func pushedAs(e *environment, u imageUse, pushes []workflow.Push) (workflow.Push, bool) {
	var unused []workflow.Push
	for _, p := range pushes {
		isUsed := slices.ContainsFunc(e.objects, func(o object.Object) bool {
			return slices.ContainsFunc(imageUses(o), func(u imageUse) bool { return p.Pushes(u.Repository) })
		})
		isKnown := func(o workflow.Push) bool { return o.Repository == p.Repository }
		if !isUsed && !slices.ContainsFunc(unused, isKnown) && !reference.IsLaptop(reference.Host(p.Repository)) {
			unused = append(unused, p)
		}
	}
	for _, p := range unused {
		if isSameImage(u.Repository, p) {
			return p, true
		}
	}
	if len(unused) == 1 && unused[0].Name() == "" && !strings.Contains(u.Repository, "/") {
		return unused[0], true
	}
	return workflow.Push{}, false
}

// isSameImage reports whether two names agree but for the registry and the separators.
func isSameImage(repository string, p workflow.Push) bool {
	host := reference.Host(repository)
	have := strings.Split(strings.TrimPrefix(strings.TrimPrefix(repository, host), "/"), "/")
	want := strings.Split(p.Name(), "/")
	joined := strings.Join(have, "-")
	for i := range want {
		if strings.Join(want[i:], "-") == joined && joined != "" {
			return len(have) > 1 || host == ""
		}
	}
	if host == "" || host != reference.Host(p.Repository) || have[0] != want[0] {
		return false
	}
	return strings.HasSuffix("-"+joined, "-"+strings.Join(want[1:], "-")) && len(want) > 1 ||
		strings.HasSuffix("-"+strings.Join(want, "-"), "-"+strings.Join(have[1:], "-")) && len(have) > 1
}

// newName says where to write the repository.
func newName(e *environment, u imageUse, p workflow.Push, ok bool) string {
	repository := "REGISTRY/" + u.Repository
	if ok {
		repository = strings.Replace(p.Written(), "…", "REGISTRY", 1)
	}
	if len(e.Charts) > 0 && u.Origin.Line == 0 {
		return "Set the image's repository to " + repository + " in the values."
	}
	return fmt.Sprintf("Add `images: [{name: %s, newName: %s}]` to the kustomization.", u.Repository, repository)
}
