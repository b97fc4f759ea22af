package project

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Directories whose subdirectories are called like environments.
var collectors = strings.Fields(
	"overlays overlay envs env environments environment clusters cluster stages regions tenants customers sites")

// Names of overlays that add something to an environment, and are none.
var features = strings.Fields(
	"base bases common shared default defaults components component config configs configuration " +
		"secret secrets gpu cuda tls ssl https ha ingress istio linkerd mesh monitoring metrics " +
		"prometheus grafana tracing otel logging debug rbac crd crds auth oauth oidc sso postgres " +
		"postgresql mysql mariadb sqlite redis kafka storage backup cronjob hpa autoscaling pdb " +
		"networkpolicy certmanager openshift gateway init migration migrations patch patches example " +
		"sample template minimal full slim with without enable disable only no network cert alpine debian " +
		"ci plus cpu arm arm64 amd64 windows")

func isFeature(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "-"), func(w string) bool {
		return slices.Contains(features, w)
	})
}

// kustomization is a directory with a kustomization, and the directories of those that it names.
type kustomization struct {
	path      string
	refs      []string
	component bool
	// env is the environment that its path names, and family the path with a star in the environment's place;
	// both are empty where the path names none.
	env, family string
	placement   placement
}

// kustomizations reads all of them, by directory.
func (l layout) kustomizations() map[string]*kustomization {
	all := map[string]*kustomization{}
	for _, dir := range l.dirs {
		if l.kustomized(dir) && path.Base(dir) != "flux-system" {
			all[dir] = &kustomization{path: dir}
		}
	}
	for dir, k := range all {
		var doc struct {
			APIVersion string    `yaml:"apiVersion"`
			Kind       string    `yaml:"kind"`
			Resources  yaml.Node `yaml:"resources"`
			Bases      yaml.Node `yaml:"bases"`
			Components yaml.Node `yaml:"components"`
			placing    `yaml:",inline"`
		}
		for _, name := range kustomizations {
			if l.file(path.Join(dir, name)) {
				_ = yaml.Unmarshal(l.text(path.Join(dir, name)), &doc) // broken says what is wrong in it
				break
			}
		}
		for _, list := range []yaml.Node{doc.Resources, doc.Bases, doc.Components} {
			for _, n := range list.Content {
				if ref := path.Join(dir, n.Value); all[ref] != nil && ref != dir {
					k.refs = append(k.refs, ref)
				}
			}
		}
		entries := len(doc.Resources.Content) + len(doc.Bases.Content) + len(doc.Components.Content)
		k.placement = doc.placement(entries > len(k.refs))
		k.component = doc.Kind == "Component" || len(k.refs) == 0 && l.isControl(dir) ||
			strings.HasPrefix(doc.APIVersion, "kustomize.toolkit.fluxcd.io/")
	}
	return all
}

func (l layout) kustomized(p string) bool {
	return slices.ContainsFunc(kustomizations, func(name string) bool { return l.file(path.Join(p, name)) })
}

// overlays are the environments that kustomizations make, and those that are not made.
type overlays struct {
	usual   []Environment // in one of the usual places
	further []Environment // anywhere else
	beside  []Environment // beside one of these
	left    []string      // the directories of kustomizations that make no environment
}

func (l layout) overlays() overlays {
	all := l.kustomizations()
	for _, k := range all {
		k.env, k.family = l.environmentIn(k.path)
	}
	named := map[string]bool{} // by kustomizations that are of the same environment, or where it is of none
	for _, k := range all {
		for _, ref := range k.refs {
			if r := all[ref]; r.env == "" || k.env == r.env && k.family != "" {
				named[ref] = true
			}
		}
	}
	var found, unnamed []*kustomization
	var left []string
	for _, dir := range l.dirs {
		switch k := all[dir]; {
		case k == nil || k.component:
		case k.env != "" && !named[dir]:
			found = append(found, k)
		case k.env == "" && !named[dir]:
			unnamed = append(unnamed, k)
		case k.env == "" && slices.Contains(collectors, path.Base(path.Dir(dir))):
			left = append(left, dir) // a resource of overlays beside it
		}
	}
	for _, k := range unnamed {
		if l.environmentBy(k, found, unnamed) {
			k.env, k.family = path.Base(k.path), path.Join(path.Dir(k.path), "*")
		}
	}
	for _, k := range unnamed {
		if k.env != "" {
			found = append(found, k)
		} else {
			left = append(left, k.path)
		}
	}
	found = append(found, l.plain(found)...)
	o := families(found)
	o.left = left
	return o
}

// environmentIn is the environment that a path names, and the path with a star in its place. The last part
// that is called like an environment counts; one that is not the path's last must stand where environments
// do.
func (l layout) environmentIn(p string) (env, family string) {
	parts := strings.Split(p, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		parent := path.Join(append([]string{"."}, parts[:i]...)...)
		name := plainName(parts[i])
		if !label.matches(name) || !isEnvironmentName(name) {
			continue
		}
		if i < len(parts)-1 && !slices.Contains(collectors, path.Base(parent)) &&
			!slices.ContainsFunc(l.folders(parent), func(s string) bool {
				return s != parts[i] && isEnvironmentName(s)
			}) {
			continue
		}
		app, env := l.appOf(parent, name)
		if at := l.regionBeside(parts, i); at >= 0 {
			env += "-" + parts[at]
			parts[at] = "." // Join drops it
		}
		parts[i] = "*"
		if app != "" {
			parts[i] = app + "-*"
		}
		return env, path.Join(parts...)
	}
	return "", ""
}

// regionBeside is the index of the part of a path that says in which of several regions an environment is, as
// in prod/eu and eu/prod; -1: none does.
func (l layout) regionBeside(parts []string, environment int) int {
	parent := func(i int) string { return path.Join(append([]string{"."}, parts[:i]...)...) }
	has := func(i int, is func(sibling string) bool) bool {
		return slices.ContainsFunc(l.folders(parent(i)), func(s string) bool {
			return s != parts[i] && isGeographic(s) && is(path.Join(parent(i), s))
		})
	}
	if at := environment + 1; at < len(parts) && isGeographic(parts[at]) && has(at, l.manifestsBelow) {
		return at
	}
	if at := environment - 1; at >= 0 && isGeographic(parts[at]) && has(at, func(s string) bool {
		return l.manifestsBelow(path.Join(s, parts[environment]))
	}) {
		return at
	}
	return -1
}

// plainName is a directory's without what says that it holds manifests: k8s-dev, overlay-dev, dev-overlay.
func plainName(s string) string {
	for _, r := range append(slices.Clone(layoutRoots), "overlay", "overlays", "env", "environment") {
		s = strings.TrimSuffix(strings.TrimPrefix(s, r+"-"), "-"+r)
	}
	return s
}

// appOf splits the name of a directory that joins an application and an environment, such as web-prod.
// A directory called like a region, or like nothing else in the repository, is taken for a part of the
// environment's name.
func (l layout) appOf(parent, name string) (app, env string) {
	words := strings.Split(name, "-")
	if l.isDirectory(parent, name) { // an environment of several services, such as team1-dev
		return "", name
	}
	for i := len(words) - 1; i > 0; i-- {
		app, env = strings.Join(words[:i], "-"), strings.Join(words[i:], "-")
		if isEnvironmentName(words[i]) && !isEnvironmentName(app) && l.isApp(parent, app) {
			return app, env
		}
		if isEnvironmentName(app) && !isEnvironmentName(env) && l.isDirectory(parent, env) {
			return env, app
		}
	}
	return "", name
}

// isApp says whether a name is an application's: a directory's elsewhere, or what several environments
// beside one another have in common.
func (l layout) isApp(parent, app string) bool {
	if isRegion(app) {
		return false
	}
	count := 0
	for _, s := range l.folders(parent) {
		env, ok := strings.CutPrefix(plainName(s), app+"-")
		if ok && isEnvironmentName(env) {
			count++
		}
	}
	return count > 1 || l.isDirectory(parent, app)
}

func (l layout) isDirectory(parent, name string) bool {
	return slices.ContainsFunc(l.dirs, func(d string) bool {
		return path.Base(d) == name && path.Dir(d) != parent
	})
}

var (
	regions = strings.Fields("eu us ap ca sa af me uk de fr nl ie it es jp au in br sg na emea apac latam " +
		"asia europe america americas australia africa east west north south central northeast northwest " +
		"southeast southwest eastus westus region")
	zones = strings.Fields("zone a b c dr onprem aws gcp azure eks gke aks cluster")
)

// isRegion says whether a name is one of a place: eu-west, us1, ap-southeast-2, aws.
func isRegion(name string) bool { return isMadeOf(name, append(slices.Clone(regions), zones...)) }

// isGeographic says whether a name is that of a region alone.
func isGeographic(name string) bool {
	return isMadeOf(name, regions) && strings.Trim(name, digits) != ""
}

// isMadeOf says whether all words of a name are among those given. Numbers may follow them.
func isMadeOf(name string, words []string) bool {
	return !slices.ContainsFunc(strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' }),
		func(w string) bool {
			return !slices.Contains(words, strings.TrimRight(w, digits)) && strings.Trim(w, digits) != ""
		})
}

// plain are the directories of plain manifests that are called like an environment, where environments are.
func (l layout) plain(found []*kustomization) []*kustomization {
	var more []*kustomization
	for _, dir := range l.dirs {
		env, family := l.environmentIn(dir)
		parent := path.Dir(dir)
		if env == "" || path.Base(family) != "*" || l.kustomized(parent) || l.kustomized(dir) || l.inChart(dir) ||
			slices.ContainsFunc(found, func(k *kustomization) bool {
				return isBelow(k.path, dir) || isBelow(dir, k.path)
			}) {
			continue
		}
		beside := slices.ContainsFunc(l.folders(parent), func(s string) bool {
			return s != path.Base(dir) && isEnvironmentName(s) && l.manifestsBelow(path.Join(parent, s))
		})
		beside = beside || slices.Contains(collectors, path.Base(parent))
		if beside && l.manifestsBelow(dir) && !l.isControlBelow(dir) {
			more = append(more, &kustomization{path: dir, env: env, family: family})
		}
	}
	return more
}

// families puts together what makes an environment. One family of overlays in a usual place is the
// project's; otherwise the services of a repository each have one, and what they call alike is one
// environment. A family on the bases of another one says the same again, and is not taken.
func families(found []*kustomization) (o overlays) {
	families := map[string][]*kustomization{}
	var order []string
	for _, k := range found {
		if slices.ContainsFunc(found, func(o *kustomization) bool {
			return isBelow(k.path, o.path) && o.env == k.env
		}) {
			continue
		}
		if families[k.family] == nil {
			order = append(order, k.family)
		}
		families[k.family] = append(families[k.family], k)
	}
	slices.SortStableFunc(order, func(a, b string) int { return placeOf(a) - placeOf(b) })
	var taken []*kustomization
	for i, f := range order {
		again := i > 0 && (placeOf(order[0]) < len(usualPlaces) || isBeside(f) && !isBeside(order[0]) ||
			slices.ContainsFunc(families[f], func(k *kustomization) bool { return repeats(k, taken) }))
		into := &o.usual
		switch {
		case again:
			into = &o.beside
		case placeOf(order[0]) >= len(usualPlaces):
			into = &o.further
		}
		for _, k := range families[f] {
			j := slices.IndexFunc(*into, func(e Environment) bool { return e.Name == k.env })
			if j >= 0 && !again {
				(*into)[j].Paths = append((*into)[j].Paths, k.path)
				continue
			}
			*into = append(*into, Environment{Name: k.env, Paths: []string{k.path}})
		}
		if !again {
			taken = append(taken, families[f]...)
		}
	}
	return o
}

// repeats says whether an overlay is made of what another one of its environment is made of.
func repeats(k *kustomization, taken []*kustomization) bool {
	return len(k.refs) > 0 && slices.ContainsFunc(taken, func(o *kustomization) bool {
		return o.env == k.env && !slices.ContainsFunc(k.refs, func(ref string) bool {
			return !slices.Contains(o.refs, ref)
		})
	})
}

// Where people keep the overlays of a repository that is one service, the likeliest first.
var usualPlaces = []string{
	"k8s/overlays/*", "kubernetes/overlays/*", "deploy/overlays/*", "kustomize/overlays/*",
	"manifests/overlays/*", "deploy/k8s/overlays/*", "deploy/kustomize/overlays/*", "k8s/kustomize/overlays/*",
	"overlays/*"}

// placeOf orders families: the usual places, then those that are not beside the point, the highest first.
func placeOf(family string) int {
	if i := slices.Index(usualPlaces, family); i >= 0 {
		return i
	}
	depth := len(usualPlaces) + strings.Count(family, "/")
	if isBeside(family) {
		depth += 100
	}
	return depth
}
