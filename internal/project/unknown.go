package project

import (
	"path"
	"slices"
	"strings"
)

// placing is what a kustomization says of the place that it is for.
type placing struct {
	Namespace  string `yaml:"namespace"`
	NamePrefix string `yaml:"namePrefix"`
	NameSuffix string `yaml:"nameSuffix"`
	Images     []struct {
		Name, Digest string
		NewName      string `yaml:"newName"`
		NewTag       string `yaml:"newTag"`
	} `yaml:"images"`
	Replicas []struct{ Name string } `yaml:"replicas"`
}

// placement tells environments from additions to one: an environment has its own namespace, versions or
// numbers of replicas.
type placement struct {
	namespace, affix string
	sets             []string          // the images whose version it states, and workloads whose replicas
	renames          map[string]string // the images that it takes from elsewhere
	adds             bool              // files of its own
}

func (p placing) placement(adds bool) placement {
	out := placement{namespace: p.Namespace, affix: p.NamePrefix + p.NameSuffix, adds: adds,
		renames: map[string]string{}}
	for _, i := range p.Images {
		if i.NewTag+i.Digest != "" {
			out.sets = append(out.sets, "image "+i.Name)
		}
		if i.NewName != "" {
			out.renames[i.Name] = i.NewName
		}
	}
	for _, r := range p.Replicas {
		out.sets = append(out.sets, "replicas of "+r.Name)
	}
	return out
}

func (p placement) isPlaced() bool { return p.namespace+p.affix != "" || len(p.sets) > 0 }

// environmentBy says whether an overlay whose name says nothing is an environment all the same: beside
// others that are, on the same base; or in a directory of environments, unless it is one of several
// additions; or where it and those beside it say places of their own.
func (l layout) environmentBy(k *kustomization, found, unnamed []*kustomization) bool {
	parent, name := path.Dir(k.path), path.Base(k.path)
	if !label.matches(name) || isFeature(name) {
		return false
	}
	beside := func(ks []*kustomization) (names []*kustomization) {
		for _, o := range ks {
			if o != k && path.Dir(o.path) == parent {
				names = append(names, o)
			}
		}
		return names
	}
	if known := beside(found); len(known) > 0 {
		unplaced := func(o *kustomization) bool { return !o.placement.isPlaced() }
		if k.placement.adds && unplaced(k) && !slices.ContainsFunc(known, unplaced) {
			return false // an addition
		}
		return slices.ContainsFunc(known, func(o *kustomization) bool {
			return len(o.refs) == 0 && len(k.refs) == 0 || shareBase(o, k)
		})
	}
	others := beside(unnamed)
	switch collector := path.Base(parent); {
	case !slices.Contains(collectors, collector):
		return isBesideBase(k) && isPlacedApart(k, others)
	case len(others) == 0 || isRegion(name):
		return true
	default:
		return !strings.HasPrefix(collector, "overlay") || isPlacedApart(k, others)
	}
}

func shareBase(a, b *kustomization) bool {
	return slices.ContainsFunc(a.refs, func(ref string) bool { return slices.Contains(b.refs, ref) })
}

// isBesideBase says whether an overlay is made of a directory beside it, or beside the directory around it. A
// base elsewhere may be a library that applications share.
func isBesideBase(k *kustomization) bool {
	parent := path.Dir(k.path)
	return slices.ContainsFunc(k.refs, func(ref string) bool {
		return path.Dir(ref) == parent || path.Dir(ref) == path.Dir(parent)
	})
}

// isPlacedApart says whether overlays on one base are regions, or have namespaces, versions or replicas of
// their own. Applications on a common base take different images.
func isPlacedApart(k *kustomization, others []*kustomization) bool {
	others = slices.DeleteFunc(slices.Clone(others), func(o *kustomization) bool {
		return o.component || isFeature(path.Base(o.path)) || !shareBase(o, k)
	})
	if len(others) == 0 {
		return false
	}
	notRegion := func(o *kustomization) bool { return !isRegion(path.Base(o.path)) }
	if !notRegion(k) && !slices.ContainsFunc(others, notRegion) {
		return true
	}
	mine := k.placement
	apart := false
	for _, o := range others {
		theirs := o.placement
		for image, name := range mine.renames {
			if other := theirs.renames[image]; other != "" && path.Base(other) != path.Base(name) {
				return false
			}
		}
		if mine.namespace != "" && mine.namespace == theirs.namespace {
			return false
		}
		apart = apart || mine.namespace != "" && theirs.namespace != "" ||
			slices.ContainsFunc(mine.sets, func(s string) bool { return slices.Contains(theirs.sets, s) })
	}
	return apart
}
