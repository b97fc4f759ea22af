package project

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/project/tilt"
	"slipway/internal/words"
)

// Where people keep manifests, the likeliest first.
var layoutRoots = []string{"k8s", "kubernetes", "deploy", "kustomize", "manifests"}

var lookedFor = []string{
	"k8s/overlays/*", "envs/*", "apps/staging, apps/production", "k8s-dev, k8s-prod", "k8s/dev, k8s/prod",
	"charts with values-*.yaml", "skaffold.yaml", "Tiltfile", "Argo CD's and Flux's objects", "k8s/*.yaml",
}

// detect finds the environments that the files in dir show.
func detect(dir string) (Project, bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Project{}, false, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	p, ok := walk(root.FS()).project(dir)
	return p, ok, nil
}

// project is what a directory shows; false where it shows no environment.
func (l layout) project(dir string) (Project, bool) {
	p := l.named(dir)
	found := l.overlays()
	profiles, variants, required := l.skaffold()
	releases := l.releases()
	synced, syncing := l.synced()
	// The first that finds something is taken, the others are checked beside it.
	var others []string
	layouts := [][]Environment{
		found.usual, l.siblings(), completed(synced, found.further, releases), releases, profiles,
		found.further, found.beside, l.chart(),
	}
	var released []string
	for i := range layouts {
		var more []string
		layouts[i], more = l.withReleases(layouts[i])
		released = append(released, more...)
	}
	left := found.left
	if slices.ContainsFunc(layouts, func(envs []Environment) bool { return len(envs) > 0 }) {
		left = nil // additions to an environment do not make one, and lack what it has
	}
	for _, envs := range append(layouts, l.single(left)) {
		if len(p.Environments) == 0 {
			p.Environments = envs
			continue
		}
		others = append(others, p.addOthers(l, envs)...)
	}
	// A kustomization without a name of its own beside environments is an addition to them, or a part.
	p.Others = slices.DeleteFunc(p.Others, func(e Environment) bool { return e.isGuess() && len(e.Paths) > 0 })
	if len(p.Environments) == 0 && len(l.tilt.Manifests) == 0 {
		return Project{}, false
	}
	others = l.unapplied(append(others, p.develop(l)...), p.Environments)
	p.Others = p.nameOthers()
	p.Notes = l.notes(&p, slices.Concat(others, l.outside(p, found.left), variants))
	if slices.ContainsFunc(p.Environments, func(e Environment) bool {
		return slices.ContainsFunc(synced, func(s Environment) bool { return s.Name == e.Name })
	}) {
		p.Notes = append(p.Notes, plainNotes(syncing...)...)
	}
	for _, text := range released {
		if !slices.Contains(NoteTexts(p.Notes), text) {
			p.Notes = append(p.Notes, Note{Text: text})
		}
	}
	usesSkaffold := func(e Environment) bool { return e.Skaffold != nil }
	if len(required) > 0 && slices.ContainsFunc(p.Environments, usesSkaffold) {
		text := fmt.Sprintf("%s requires %s", l.skaffoldFile(), words.And(required))
		p.Notes = append(p.Notes, Note{Text: text})
	}
	return p, true
}

// completed are environments that objects of Argo CD or Flux name, and those that the layout shows beside
// them.
func completed(synced []Environment, layouts ...[]Environment) []Environment {
	named := slices.ContainsFunc(layouts, func(envs []Environment) bool { return len(envs) > 0 })
	if len(synced) == 0 || synced[0].Name == "default" && named {
		return nil // the objects name no environment, and the layout does
	}
	for _, envs := range layouts {
		for _, e := range envs {
			i := slices.IndexFunc(synced, func(s Environment) bool { return s.Name == e.Name })
			if i < 0 && isEnvironmentName(e.Name) {
				synced = append(synced, e)
				continue
			}
			missing := func(p string) bool { return !slices.Contains(e.Paths, p) }
			if i >= 0 && len(synced[i].Charts) == 0 && !slices.ContainsFunc(synced[i].Paths, missing) {
				synced[i].Paths = e.Paths // those that another repository's objects deploy, too
			}
		}
	}
	return synced
}

// addOthers adds environments that are made of something else than those that are taken, and returns their
// sources.
func (p *Project) addOthers(l layout, envs []Environment) []string {
	var sources []string
	known := p.Others
	for _, e := range envs {
		for _, source := range e.sources() {
			taken := func(e Environment) bool { return e.within(source) || l.skaffoldNames(e, source) }
			if slices.ContainsFunc(p.Environments, taken) || slices.ContainsFunc(known, taken) {
				continue
			}
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
			if !slices.ContainsFunc(p.Others[len(known):], func(o Environment) bool { return o.Name == e.Name }) {
				p.Others = append(p.Others, e)
			}
		}
	}
	return sources
}

// outside are those of some directories that no environment is made of.
func (l layout) outside(p Project, dirs []string) []string {
	return slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool {
		return slices.ContainsFunc(p.Environments, func(e Environment) bool {
			return e.within(dir) || l.skaffoldNames(e, dir)
		})
	})
}

// notes gives environments their classes and order, and returns what was assumed.
func (l layout) notes(p *Project, others []string) []Note {
	guessed := classify(p.Environments)
	sortByPromotion(p.Environments)
	var notes []Note
	for i := range p.Environments {
		e := &p.Environments[i]
		p.release(e)
		notes = append(notes, Note{Environments: []string{e.Name}, Uses: e.Class, Text: fmt.Sprintf(
			"using %s as environment %s of class %s", describe(*e), e.Name, e.Class)})
	}
	notes = append(notes, guessed...)
	notes = append(notes, plainNotes(l.imageNotes(p.Images)...)...)
	slices.Sort(others)
	if others = slices.Compact(others); len(others) > 6 {
		n := len(others)
		others = append(others[:5:5], fmt.Sprintf("%d more", n-5))
	}
	if len(others) > 0 {
		notes = append(notes, Note{Unused: true, Text: "not used: " + strings.Join(others, ", ")})
	}
	notes = append(notes, plainNotes(l.tiltNotes()...)...)
	if broken := l.broken(); len(broken) > 0 {
		notes = append(notes, Note{Text: "could not read " + strings.Join(broken, ", ")})
	}
	if l.note != "" {
		notes = append(notes, Note{Text: l.note})
	}
	return notes
}

// release gives the charts of an environment that have no release yet the project's name.
func (p Project) release(e *Environment) {
	for j := range e.Charts {
		if e.Charts[j].Release == "" {
			e.Charts[j].Release = p.Name[:min(len(p.Name), 53)]
		}
	}
}

// nameOthers returns the others under unique names, without those whose class would be a guess.
func (p Project) nameOthers() []Environment {
	var envs []Environment
	for _, e := range p.Others {
		if e.Class == "" && !isEnvironmentName(e.Name) {
			continue
		}
		p.release(&e)
		if e.Class == "" {
			e.Class, _, _ = classOf(e.Name)
		}
		if slices.ContainsFunc(append(envs, p.Environments...), func(o Environment) bool {
			return o.Name == e.Name
		}) {
			prefix := "other"
			switch {
			case e.Skaffold != nil:
				prefix = "skaffold"
			case len(e.Charts) > 0:
				prefix = "chart"
			}
			e.Name = prefix + "-" + e.Name
		}
		envs = append(envs, e)
	}
	return unique(envs)
}

// Named is what a directory says by itself: the project's name, and the images that it builds.
func Named(dir string) (Project, error) {
	folders, err := candidates(dir)
	if err != nil {
		return Project{}, err
	}
	return walk(os.DirFS(folders[0])).named(folders[0]), nil
}

func (l layout) named(dir string) Project {
	p := Project{Name: nameOf(dir), Dir: dir, Images: l.artifacts(l.skaffoldFile())}
	for _, i := range l.tiltImages() {
		known := func(o Image) bool {
			return o.Name == i.Name || o.Dockerfile == i.Dockerfile && o.Target == i.Target
		}
		if !slices.ContainsFunc(p.Images, known) {
			p.Images = append(p.Images, i)
		}
	}
	if l.note != "" {
		p.Notes = plainNotes(l.note)
	}
	if l.file("Dockerfile") && !slices.ContainsFunc(p.Images, func(i Image) bool {
		return i.Dockerfile == "Dockerfile" || i.Name == p.Name
	}) {
		p.Images = append(p.Images, Image{Name: p.Name, Context: ".", Dockerfile: "Dockerfile", Detected: true})
	}
	return p
}

// imageNotes say what builds the images.
func (l layout) imageNotes(images []Image) (notes []string) {
	var artifacts, tilted []string
	for _, i := range images {
		switch {
		case i.Artifact:
			artifacts = append(artifacts, i.Name)
		case slices.ContainsFunc(l.tilt.Images, func(o tilt.Image) bool {
			return withoutRegistry(o.Name) == i.Name
		}):
			tilted = append(tilted, i.Name)
		default:
			notes = append(notes, fmt.Sprintf("using %s to build image %s", i.Dockerfile, i.Name))
		}
	}
	if len(artifacts) > 0 {
		notes = append(notes, fmt.Sprintf("%s builds %s", l.skaffoldFile(), words.And(artifacts)))
	}
	if len(tilted) > 0 {
		notes = append(notes, fmt.Sprintf("%s builds %s", l.tiltfile, words.And(tilted)))
	}
	return notes
}

// describe names what an environment is made of.
func describe(e Environment) string {
	switch {
	case e.Skaffold != nil && len(e.Skaffold.Profiles) > 0:
		return e.Skaffold.File + " with profile " + strings.Join(e.Skaffold.Profiles, ", ")
	case e.Skaffold != nil:
		return e.Skaffold.File
	}
	parts := slices.Clone(e.Paths)
	for _, c := range e.Charts {
		name := "chart " + c.Path
		if c.Path == "." {
			name = "Chart.yaml"
		}
		if len(c.Values) > 0 {
			name += " with " + strings.Join(c.Values, ", ")
		}
		parts = append(parts, name)
	}
	if n := len(parts); n > 4 {
		parts = append(parts[:3:3], fmt.Sprintf("%d more", n-3))
	}
	return strings.Join(parts, " and ")
}

// sources are the directories and the file that an environment is made of.
func (e Environment) sources() []string {
	names := slices.Clone(e.Paths)
	for _, c := range e.Charts {
		names = append(names, path.Clean(c.Path+"/Chart.yaml"))
	}
	if e.Skaffold != nil {
		names = append(names, e.Skaffold.File)
	}
	return names
}

func (e Environment) within(source string) bool {
	return slices.ContainsFunc(e.sources(), func(s string) bool { return strings.HasPrefix(s+"/", source+"/") })
}

// siblings finds the copied directories k8s-dev, k8s-prod and their like, whatever the names say.
func (l layout) siblings() []Environment {
	var envs []Environment
	for _, folder := range l.folders(".") {
		for _, r := range layoutRoots {
			name, ok := strings.CutPrefix(folder, r+"-")
			if ok && label.matches(name) && l.manifests(folder) {
				envs = append(envs, Environment{Name: name, Paths: []string{folder}})
			}
		}
	}
	if len(envs) > 0 {
		return unique(envs)
	}
	return l.subfolders()
}

// subfolders finds k8s/dev, k8s/prod and their like: only names that say what they are.
func (l layout) subfolders() []Environment {
	for _, r := range layoutRoots {
		var envs []Environment
		for _, name := range l.folders(r) {
			p := path.Join(r, name)
			if isEnvironmentName(name) && label.matches(name) && l.manifests(p) {
				envs = append(envs, Environment{Name: name, Paths: []string{p}})
			}
		}
		if len(envs) > 0 {
			return envs
		}
	}
	return nil
}

// single finds one directory of manifests, or kustomizations that nothing else names: there is but one
// environment, and it is somebody's own.
func (l layout) single(left []string) []Environment {
	for _, p := range append(slices.Clone(layoutRoots), "deploy/k8s", "deploy/kubernetes", "deploy/manifests",
		"deployment", "deployments", "kubernetes-manifests") {
		if l.manifests(p) {
			return []Environment{{Name: "default", Paths: []string{p}, Class: Local}}
		}
	}
	if paths := l.placesBelow(); len(paths) > 0 {
		return []Environment{{Name: "default", Paths: paths, Class: Local}}
	}
	paths := slices.DeleteFunc(slices.Clone(left), isBeside)
	all := l.kustomizations()
	for _, p := range paths {
		for _, o := range paths {
			if o != p && all[p] != nil && all[o] != nil && len(all[p].refs) > 0 &&
				slices.Equal(all[p].refs, all[o].refs) && all[p].placement.affix == all[o].placement.affix {
				paths = all[p].refs // additions to one base, and not applications that share it
			}
		}
	}
	if len(paths) == 0 {
		paths = l.placesWithin()
	}
	if len(paths) == 0 {
		return nil
	}
	return []Environment{{Name: "default", Paths: paths, Class: Local}}
}

// placesWithin are the directories of plain manifests, one for each service, in a directory of a usual name.
func (l layout) placesWithin() (places []string) {
	for _, dir := range l.dirs {
		inRoot := slices.ContainsFunc(layoutRoots, func(r string) bool { return isBelow(dir, r) })
		if inRoot && !isBeside(dir) && !l.inChart(dir) && !l.kustomized(dir) && !l.isControl(dir) &&
			l.manifests(dir) && !slices.ContainsFunc(places, func(p string) bool { return isBelow(dir, p) }) {
			places = append(places, dir)
		}
	}
	return places
}

// placesBelow are the directories of plain manifests that services keep under a usual name.
func (l layout) placesBelow() (places []string) {
	for _, dir := range l.dirs {
		name := path.Base(dir)
		if (slices.Contains(layoutRoots, name) || name == "kubernetes-manifests") && !isBeside(dir) &&
			!l.inChart(dir) && !l.kustomized(dir) && !l.isControl(dir) && l.manifests(dir) &&
			!slices.ContainsFunc(places, func(p string) bool { return isBelow(dir, p) }) {
			places = append(places, dir)
		}
	}
	return places
}

func unique(envs []Environment) []Environment {
	seen := map[string]bool{}
	return slices.DeleteFunc(envs, func(e Environment) bool {
		again := seen[e.Name]
		seen[e.Name] = true
		return again
	})
}

// Keys of the document, or of a mapping in braces as in JSON.
var (
	hasKind    = regexp.MustCompile(`(?m)(^|[{,]\s*)["']?kind["']?\s*:`)
	hasVersion = regexp.MustCompile(`(?m)(^|[{,]\s*)["']?apiVersion["']?\s*:\s*["']?([^\s"',}]*)`)
)

// Groups of files that look like Kubernetes objects, and configure another program.
var foreign = strings.Fields(
	"k3d.io kind.x-k8s.io backstage.io skaffold ctlptl.dev tilt.dev eksctl.io score.dev " +
		"kustomize.config.k8s.io config.kubernetes.io audit.k8s.io apiserver.config.k8s.io kubeadm.k8s.io " +
		"kubelet.config.k8s.io client.authentication.k8s.io garden.io")

// IsManifest tells whether a YAML or JSON text looks like Kubernetes objects. A template of them does not.
func IsManifest(text []byte) bool {
	versions := hasVersion.FindAllSubmatch(text, -1)
	return hasKind.Match(text) && !isTemplate(text) && slices.ContainsFunc(versions, func(m [][]byte) bool {
		group, _, _ := strings.Cut(string(m[2]), "/")
		return !slices.Contains(foreign, group)
	})
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a project's name of its directory's.
func nameOf(dir string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(dir)), "-"), "-")
	if name == "" {
		return "app"
	}
	return strings.Trim(name[:min(len(name), 63)], "-")
}
