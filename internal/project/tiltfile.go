package project

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/project/tilt"
)

// findTiltfile is the Tiltfile of the root, or the only one below it; empty where there is none.
func (l layout) findTiltfile() string {
	var found []string
	for _, dir := range l.dirs {
		if l.file(path.Join(dir, "Tiltfile")) && !isBeside(dir) {
			found = append(found, path.Join(dir, "Tiltfile"))
		}
	}
	if slices.Contains(found, "Tiltfile") || len(found) == 1 {
		return found[0]
	}
	return ""
}

// laptop is the environment that the Tiltfile deploys; false where it deploys nothing that the repository
// determines.
func (l layout) laptop() (Environment, bool) {
	e := Environment{Name: "local", Class: Local}
	namespaces := map[string]bool{}
	for _, m := range l.tilt.Manifests {
		if m.Chart == nil {
			e.Paths = append(e.Paths, m.Path)
			namespaces[m.Namespace] = true
			continue
		}
		c := Chart{Path: m.Path, Release: nameOf(m.Chart.Release), Values: m.Chart.Values, Set: m.Chart.Set,
			SetString: m.Chart.SetString}
		if label.matches(m.Chart.Namespace) {
			c.Namespace = m.Chart.Namespace
		}
		namespaces[c.Namespace] = true
		if !slices.ContainsFunc(e.Charts, func(o Chart) bool { return o.Release == c.Release }) {
			e.Charts = append(e.Charts, c)
		}
	}
	for n := range namespaces {
		if len(namespaces) == 1 && label.matches(n) {
			e.Namespace = n
		}
	}
	if len(l.tilt.Contexts) == 1 {
		if class, _, _ := classOf(l.tilt.Contexts[0]); class != Production {
			e.Context = l.tilt.Contexts[0]
		}
	}
	return e, len(e.Paths)+len(e.Charts) > 0
}

// develop adds the environment of the Tiltfile where no other one is local, and returns the sources of one
// that is only checked.
func (p *Project) develop(l layout) []string {
	e, ok := l.laptop()
	if !ok || slices.ContainsFunc(p.Environments, func(o Environment) bool { return o.makes(e) }) {
		return nil
	}
	if len(p.Environments) == 1 && p.Environments[0].isGuess() {
		guess := p.Environments[0]
		if slices.Equal(guess.Paths, l.applied(guess.Paths)) {
			return nil // it applies all of what was found
		}
		p.Environments = []Environment{e}
		return guess.sources()
	}
	for _, o := range p.Environments {
		if class, _, _ := classOf(o.Name); o.Class == Local || o.Class == "" && class == Local || o.Name == e.Name {
			return p.addOthers(l, []Environment{e})
		}
	}
	p.Environments = append(p.Environments, e)
	return nil
}

// unapplied are some sources without those that the environments have: of a directory of which they have some
// files, the other files.
func (l layout) unapplied(sources []string, envs []Environment) (left []string) {
	var used []string
	for _, e := range envs {
		used = append(used, e.sources()...)
	}
	for _, s := range sources {
		if !slices.ContainsFunc(used, func(u string) bool { return isManifestName(u) && isBelow(u, s) }) {
			if !slices.Contains(used, s) {
				left = append(left, s)
			}
			continue
		}
		for _, d := range l.dirs {
			for _, name := range l.files[d] {
				file := path.Join(d, name)
				if (d == s || isBelow(d, s)) && isManifestName(name) && !slices.Contains(used, file) &&
					IsManifest(l.text(file)) {
					left = append(left, file)
				}
			}
		}
	}
	return left
}

// isGuess says whether an environment is all that was found, under no name of its own.
func (e Environment) isGuess() bool {
	return e.Name == "default" && e.Class == Local && e.Skaffold == nil
}

// makes says whether an environment is made of the same as another one.
func (e Environment) makes(o Environment) bool {
	same := func(a, b Chart) bool { return a.Path == b.Path && slices.Equal(a.Values, b.Values) }
	return e.Skaffold == nil && slices.Equal(e.Paths, o.Paths) && slices.EqualFunc(e.Charts, o.Charts, same)
}

// applied are those of some directories of manifests of which the Tiltfile applies all, and nothing else.
func (l layout) applied(dirs []string) []string {
	var files []string
	for _, m := range l.tilt.Manifests {
		if m.Chart != nil {
			return nil
		}
		files = append(files, m.Path)
	}
	var whole []string
	for _, dir := range dirs {
		missing := func(d string) bool {
			return (d == dir || isBelow(d, dir)) && slices.ContainsFunc(l.files[d], func(name string) bool {
				file := path.Join(d, name)
				return isManifestName(name) && IsManifest(l.text(file)) && !slices.Contains(files, file)
			})
		}
		if slices.Contains(files, dir) || !l.kustomized(dir) && !slices.ContainsFunc(l.dirs, missing) {
			whole = append(whole, dir)
		}
	}
	outside := func(file string) bool {
		return !slices.ContainsFunc(whole, func(dir string) bool { return file == dir || isBelow(file, dir) })
	}
	if slices.ContainsFunc(files, outside) {
		return nil
	}
	return whole
}

// tiltImages are the images that the Tiltfile builds from a Dockerfile. One that is made for development is
// replaced by the Dockerfile beside it, which builds what ships. Their names lack the registry: that of a
// laptop would match the manifests of no other environment.
func (l layout) tiltImages() (images []Image) {
	for _, t := range l.tilt.Images {
		if !imageName.matches(t.Name) || t.Dockerfile == "" || !l.file(t.Dockerfile) {
			continue
		}
		i := Image{Name: withoutRegistry(t.Name), Context: t.Context, Dockerfile: t.Dockerfile,
			Target: t.Target, BuildArgs: t.Args, Detected: true}
		if file, ok := l.shipped(t); ok {
			i.Dockerfile, i.Target, i.BuildArgs = file, "", nil
		}
		images = append(images, i)
	}
	return images
}

func withoutRegistry(name string) string {
	host, rest, found := strings.Cut(name, "/")
	if found && (host == "localhost" || strings.ContainsAny(host, ".:")) {
		return rest
	}
	return name
}

// shipped is the Dockerfile that builds for other environments what a Tiltfile builds for development; false
// where it is the same build.
func (l layout) shipped(t tilt.Image) (string, bool) {
	if !t.IsForDevelopment() {
		return "", false
	}
	if (tilt.Image{Dockerfile: t.Dockerfile}).IsForDevelopment() {
		for _, dir := range []string{path.Dir(t.Dockerfile), t.Context} {
			if file := path.Join(dir, "Dockerfile"); l.file(file) {
				return file, true
			}
		}
		return "", false
	}
	return t.Dockerfile, true
}

// tiltNotes say what of the Tiltfile is not used, and why.
func (l layout) tiltNotes() (notes []string) {
	for _, b := range l.tilt.Broken {
		notes = append(notes, fmt.Sprintf("not read: %s", b))
	}
	var calls []string
	for _, c := range l.tilt.Undecided {
		calls = append(calls, c.String())
	}
	if n := len(calls); n > 4 {
		calls = append(calls[:3:3], fmt.Sprintf("%d more", n-3))
	}
	if len(calls) > 0 {
		notes = append(notes, "left out of what Tilt deploys: "+strings.Join(calls, "; "))
	}
	for _, t := range l.tilt.Images {
		development := t.Dockerfile
		if file, ok := l.shipped(t); ok && l.file(file) {
			if file == t.Dockerfile {
				development = "stage " + t.Target
				file = "the last stage"
			}
			notes = append(notes, fmt.Sprintf("%s builds %s from %s for development: using %s", t.Place, t.Name,
				development, file))
		}
	}
	return notes
}
