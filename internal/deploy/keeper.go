package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy/peer"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// Keeper is another tool that deploys objects of an environment.
type Keeper struct {
	Tool string `json:"tool"` // "Argo CD", "Flux", "Helm" or "kubectl"
	// Name is what the tool calls it: "application argocd/shop"; empty for kubectl.
	Name string `json:"name,omitempty"`
	// Objects are those of the environment that carry its mark; none where it is only configured to deploy it.
	Objects []object.Ref `json:"objects,omitempty"`
	// Stop is the command that stops it; empty for a tool that writes only when a person runs it.
	Stop string `json:"stop,omitempty"`
	// Active: it runs by itself, and keeps objects that are not the environment's, or has written some since.
	Active bool `json:"active,omitempty"`
	// Report is what its controller says; nil where that cannot be read.
	Report *peer.Report `json:"report,omitempty"`
}

// String is "Argo CD (application argocd/shop) also keeps Deployment prod/web and 2 more: Synced, Healthy".
func (k Keeper) String() string {
	if k.Report == nil {
		return k.title()
	}
	return k.title() + ": " + k.Report.String()
}

// title is the same without the report.
func (k Keeper) title() string {
	text, name := k.Tool, k.Name
	if name != "" {
		text += " (" + name + ")"
	}
	if len(k.Objects) == 0 {
		return text + " deploys it"
	}
	text += fmt.Sprintf(" also keeps %s", k.Objects[0])
	if n := len(k.Objects) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// IsSuspended says that the tool changes nothing by itself.
func (k Keeper) IsSuspended() bool { return k.Report != nil && k.Report.Suspended }

// KeptError says that a tool which runs by itself keeps objects of the environment.
type KeptError struct {
	Environment string
	Keeper      Keeper
}

func (e *KeptError) Error() string {
	return fmt.Sprintf("%s is not deployed: %s", e.Environment, e.Keeper.title())
}

// keepers finds out who else deploys the objects of a plan.
func keepers(ctx context.Context, t Target, observed []plan.Observed, owners []string) ([]Keeper, error) {
	resources := peer.Resources[peer.ArgoCD]
	if slices.ContainsFunc(observed, isFlux) {
		resources = slices.Concat(resources, peer.Resources[peer.Flux])
	}
	listed, err := cluster.ListServed(ctx, t.Cluster, resources...)
	if err != nil {
		return nil, err
	}
	known := peer.Read(listed)
	apps := map[object.Ref]string{}
	for _, a := range known {
		for _, ref := range a.Keeps {
			if a.Tool == peer.ArgoCD {
				apps[ref] = a.Ref.Namespace + "/" + a.Ref.Name
			}
		}
	}
	var all []Keeper
	for _, seen := range observed {
		if seen.Live.Body == nil || seen.Desired.Body == nil {
			continue
		}
		k, ok := keeperOf(seen, apps[seen.Ref])
		if !ok {
			continue
		}
		if j := slices.IndexFunc(known, func(a peer.App) bool { return isOf(k, a) }); j >= 0 {
			k = keeperFrom(known[j])
		}
		owner, _ := seen.Live.Annotations()[ownerAnnotation].(string)
		k.Active = k.Stop != "" && (!slices.Contains(owners, owner) || wroteLast(seen, k.Tool))
		i := slices.IndexFunc(all, func(o Keeper) bool { return o.Tool == k.Tool && o.Name == k.Name })
		if i < 0 {
			i, all = len(all), append(all, k)
		}
		all[i].Objects = append(all[i].Objects, seen.Ref)
		all[i].Active = all[i].Active || k.Active
	}
	return all, nil
}

func keeperFrom(a peer.App) Keeper {
	k := flux(strings.ToLower(a.Ref.Kind), a.Ref.Name, a.Ref.Namespace)
	if a.Tool == peer.ArgoCD {
		k = argoCD(a.Ref.Namespace + "/" + a.Ref.Name)
	}
	k.Report = &a.Report
	return k
}

// isFlux says that an object carries a mark of Flux.
func isFlux(seen plan.Observed) bool {
	k, ok := keeperOf(seen, "")
	return ok && k.Tool == peer.Flux
}

// isOf says that an app is the keeper's. The mark of an Application may lack its namespace.
func isOf(k Keeper, a peer.App) bool {
	name := strings.ToLower(a.Ref.Kind) + " "
	if k.Tool != a.Tool {
		return false
	}
	return k.Name == name+a.Ref.Namespace+"/"+a.Ref.Name || k.Name == name+a.Ref.Namespace+"_"+a.Ref.Name ||
		a.Tool == peer.ArgoCD && k.Name == name+a.Ref.Name
}

// ConfiguredKeepers returns the apps of Argo CD and Flux that deploy the environment's directories into its
// namespace, whatever they have deployed so far. It finds those in the cluster of the environment that the
// user may list.
func ConfiguredKeepers(ctx context.Context, t Target) ([]Keeper, error) {
	listed, err := cluster.ListServed(ctx, t.Cluster,
		slices.Concat(peer.Resources[peer.ArgoCD], peer.Resources[peer.Flux])...)
	if err != nil {
		return nil, err
	}
	place := peer.Place{
		Repository: t.repository(), Path: t.Source.Path, Environment: t.Environment,
		Namespace: t.Cluster.Namespace(),
	}
	var all []Keeper
	for _, a := range peer.Read(listed) {
		if !a.Deploys(place) {
			continue
		}
		k := keeperFrom(a)
		k.Active = !a.Report.Suspended
		all = append(all, k)
	}
	return all, nil
}

// managersOf are how the field managers of a tool begin.
var managersOf = map[string][]string{
	"Argo CD": {"argocd"}, "Flux": {"kustomize-controller", "helm-controller"}, "Helm": {"helm"},
	"kubectl": {"kubectl-client-side-apply", "kubectl"},
}

// isBy says that a field manager is a tool's.
func isBy(h plan.Holder, tool string) bool {
	return slices.ContainsFunc(managersOf[tool], func(p string) bool { return strings.HasPrefix(h.Manager, p) })
}

// wroteLast says that a tool has written an object since we did.
func wroteLast(seen plan.Observed, tool string) bool {
	var own, theirs time.Time
	for _, h := range seen.Holders {
		switch {
		case h.Ours && h.Time.After(own):
			own = h.Time
		case isBy(h, tool) && h.Time.After(theirs):
			theirs = h.Time
		}
	}
	return theirs.After(own)
}

// Marks that tools put on their objects.
const (
	trackingID    = "argocd.argoproj.io/tracking-id"
	fluxName      = "kustomize.toolkit.fluxcd.io/name"
	fluxNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

// keeperOf reads the marks that tools put on their objects. A mark that the source sets itself says nothing.
func keeperOf(seen plan.Observed, app string) (Keeper, bool) {
	mark := func(kind, key string) string {
		v, _ := seen.Live.At("metadata", kind, key).(string)
		if own, _ := seen.Desired.At("metadata", kind, key).(string); own == v {
			return ""
		}
		return v
	}
	writes := func(tool string) bool {
		return slices.ContainsFunc(seen.Holders, func(h plan.Holder) bool { return isBy(h, tool) })
	}
	if id := mark("annotations", trackingID); app == "" && id != "" {
		app, _, _ = strings.Cut(id, ":")
	}
	if app == "" && writes("Argo CD") {
		app = mark("labels", "app.kubernetes.io/instance")
	}
	switch name := mark("labels", fluxName); {
	case app != "":
		return argoCD(app), true
	case name != "":
		return flux("kustomization", name, mark("labels", fluxNamespace)), true
	}
	if name := mark("labels", "helm.toolkit.fluxcd.io/name"); name != "" {
		return flux("helmrelease", name, mark("labels", "helm.toolkit.fluxcd.io/namespace")), true
	}
	if name := mark("annotations", "meta.helm.sh/release-name"); name != "" && writes("Helm") {
		return Keeper{Tool: "Helm", Name: "release " + name}, true
	}
	return Keeper{Tool: "kubectl"}, slices.ContainsFunc(seen.Holders, func(h plan.Holder) bool {
		return h.Manager == "kubectl-client-side-apply" || h.Manager == "kubectl" && h.Operation == "Apply"
	})
}

func argoCD(app string) Keeper {
	return Keeper{Tool: peer.ArgoCD, Name: "application " + app, Stop: fmt.Sprintf(
		"argocd app set %s --sync-policy none", strings.Replace(app, "_", "/", 1))}
}

func flux(kind, name, namespace string) Keeper {
	return Keeper{Tool: peer.Flux, Name: fmt.Sprintf("%s %s/%s", kind, namespace, name),
		Stop: fmt.Sprintf("flux suspend %s %s --namespace %s", kind, name, namespace)}
}

// active is the first keeper that runs by itself; nil without one.
func active(all []Keeper) *Keeper {
	i := slices.IndexFunc(all, func(k Keeper) bool { return k.Active })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// findKept notes the keeper that must stop before a deploy. Before the first release that may be one that has
// deployed nothing yet.
func (p *Proposal) findKept(ctx context.Context, t Target) error {
	p.kept = active(p.Keepers)
	if p.kept != nil || p.Latest.Revision > 0 {
		return nil
	}
	configured, err := ConfiguredKeepers(ctx, t)
	for _, k := range configured {
		is := func(o Keeper) bool { return o.Tool == k.Tool && o.Name == k.Name }
		if !slices.ContainsFunc(p.Keepers, is) {
			p.Keepers = append(p.Keepers, k)
		}
	}
	p.kept = active(p.Keepers)
	return err
}

// keeperLines are the remarks about others who deploy the environment.
func keeperLines(keepers []Keeper) []string {
	var lines []string
	for _, k := range keepers {
		line := k.String()
		if k.Stop != "" && !k.IsSuspended() {
			line += fmt.Sprintf("; `%s` stops it", k.Stop)
		}
		lines = append(lines, line)
	}
	return lines
}

// keeperRemarks are those of a plan, whose changes name the managers of their objects already.
func keeperRemarks(p Proposal) []string {
	var lines []string
	for _, k := range p.Keepers {
		if k.Stop == "" {
			continue
		}
		line := keeperLines([]Keeper{k})[0]
		if k.Active && p.kept != nil {
			line += "; deploy refuses this without --take-over"
		}
		lines = append(lines, line)
	}
	return lines
}
