package object

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Event is a moment of a deploy at which hooks run.
type Event string

// The events. Sync hooks run among the other objects; objects with Test or Never are not deployed.
const (
	PreInstall   Event = "pre-install"
	PostInstall  Event = "post-install"
	PreUpgrade   Event = "pre-upgrade"
	PostUpgrade  Event = "post-upgrade"
	PreRollback  Event = "pre-rollback"
	PostRollback Event = "post-rollback"
	PreDelete    Event = "pre-delete"
	PostDelete   Event = "post-delete"
	Sync         Event = "sync"
	OnFailure    Event = "failure"
	Test         Event = "test"
	Never        Event = "never"
)

// Hook is an object that runs at moments of a deploy, and is not a part of what is deployed.
type Hook struct {
	// Name is the hook in the words of its tool: "PreSync", "pre-install,pre-upgrade".
	Name   string
	Events []Event
	// Weight orders the hooks of an event, lowest first.
	Weight int
	// Serial: the hooks of an event run one after the other, as Helm runs them.
	Serial bool
	// AfterSuccess and AfterFailure say when it is deleted again. A Job or a Pod is also deleted before it
	// runs again.
	AfterSuccess, AfterFailure bool
}

// ChangeRule is a rule of kapp: the object comes after, or before, the objects of a group.
type ChangeRule struct {
	Before bool
	Group  string
	// Deletes: the rule is about the deletion of the object. Deleted: it is about the deletion of the group's.
	Deletes, Deleted bool
}

// Schedule is what the annotations of an object say about when it is applied.
type Schedule struct {
	// Hook is nil for an object that is applied with all others.
	Hook *Hook
	// Wave orders all objects, lowest first. Explicit: an annotation states it.
	Wave     int
	Explicit bool
	// After are the objects that must be healthy before.
	After []Ref
	// Groups are the groups of kapp that the object belongs to, Rules its order relative to groups, and
	// Deletions those of its rules that are about deletions.
	Groups    []string
	Rules     []ChangeRule
	Deletions []ChangeRule
}

// ScheduleError says that an annotation about the order cannot be honoured.
type ScheduleError struct {
	Object            Ref
	Origin            Origin
	Annotation, Value string
	Reason            string
}

func (e *ScheduleError) Error() string {
	at := ""
	if text := e.Origin.String(); text != "" {
		at = text + ": "
	}
	return fmt.Sprintf("%s%s: %s: %q %s", at, e.Object, e.Annotation, e.Value, e.Reason)
}

// hookTool is how one tool annotates hooks.
type hookTool struct {
	annotation, weight, policy string
	serial                     bool
	events                     map[string][]Event // by the name in lower case; none: not a hook
}

// hookTools are the tools whose hooks run; the first annotation of an object wins, as Argo CD ignores Helm's
// on an object that has its own.
var hookTools = []hookTool{
	{
		annotation: "argocd.argoproj.io/hook", weight: waveAnnotation,
		policy: "argocd.argoproj.io/hook-delete-policy",
		events: map[string][]Event{
			"presync": {PreInstall, PreUpgrade}, "postsync": {PostInstall, PostUpgrade}, "sync": {Sync},
			"syncfail": {OnFailure}, "skip": {Never}, "predelete": {PreDelete}, "postdelete": {PostDelete},
		},
	},
	{
		annotation: "helm.sh/hook", weight: "helm.sh/hook-weight", policy: "helm.sh/hook-delete-policy",
		serial: true,
		events: map[string][]Event{
			"pre-install": {PreInstall}, "post-install": {PostInstall}, "pre-upgrade": {PreUpgrade},
			"post-upgrade": {PostUpgrade}, "pre-rollback": {PreRollback}, "post-rollback": {PostRollback},
			"pre-delete": {PreDelete}, "post-delete": {PostDelete}, "test": {Test}, "test-success": {Test},
			"test-failure": {Test}, "crd-install": {},
		},
	},
	{
		annotation: "kluctl.io/hook", weight: "kluctl.io/hook-weight", policy: "kluctl.io/hook-delete-policy",
		events: map[string][]Event{
			"pre-deploy": {PreInstall, PreUpgrade}, "post-deploy": {PostInstall, PostUpgrade},
			"pre-deploy-initial": {PreInstall}, "post-deploy-initial": {PostInstall},
			"pre-deploy-upgrade": {PreUpgrade}, "post-deploy-upgrade": {PostUpgrade},
		},
	},
}

const (
	waveAnnotation    = "argocd.argoproj.io/sync-wave"
	dependsAnnotation = "config.kubernetes.io/depends-on"
	groupAnnotation   = "kapp.k14s.io/change-group"
	ruleAnnotation    = "kapp.k14s.io/change-rule"
)

// Schedule reads the annotations about order of Helm, Argo CD, kluctl, kapp and cli-utils. It fails with a
// *ScheduleError for one that it does not understand.
func (o Object) Schedule() (Schedule, error) {
	var s Schedule
	var err error
	if s.Hook, err = o.hook(); err != nil {
		return s, err
	}
	if text, ok := o.annotation(waveAnnotation); ok {
		s.Explicit = true
		if s.Wave, err = strconv.Atoi(text); err != nil {
			return s, o.misread(waveAnnotation, "is not a number")
		}
	}
	if s.After, err = o.dependencies(); err != nil {
		return s, err
	}
	return o.changeRules(s)
}

// IsHook says that the object runs at a moment of a deploy, or not at all, as the annotations of Helm, Argo
// CD or kluctl say. It is true for hooks with unknown names too.
func (o Object) IsHook() bool {
	h, err := o.hook()
	return h != nil || err != nil
}

// RunsOnce says that an object runs to its end: a Job or a Pod. As a hook it is deleted before it runs again.
func (r Ref) RunsOnce() bool {
	return r.Kind == "Job" && r.Group == "batch" || r.Kind == "Pod" && r.Group == ""
}

func (o Object) annotation(key string) (string, bool) {
	v, ok := o.Annotations()[key]
	if !ok || v == nil {
		return "", false
	}
	return strings.TrimSpace(fmt.Sprint(v)), true
}

func (o Object) misread(annotation, reason string) error {
	text, _ := o.annotation(annotation)
	return &ScheduleError{Object: o.Ref(), Origin: o.Origin, Annotation: annotation, Value: text, Reason: reason}
}

// hook returns nil for an object that is applied with all others.
func (o Object) hook() (*Hook, error) {
	if len(o.Annotations()) == 0 {
		return nil, nil
	}
	for _, tool := range hookTools {
		text, ok := o.annotation(tool.annotation)
		if names := namesIn(text); ok && len(names) > 0 {
			return o.hookOf(tool, names)
		}
	}
	return nil, nil
}

func (o Object) hookOf(tool hookTool, names []string) (*Hook, error) {
	h := &Hook{Name: strings.Join(names, ","), Serial: tool.serial}
	for _, name := range names {
		events, known := tool.events[strings.ToLower(name)]
		if !known {
			return nil, o.misread(tool.annotation, "is not a known hook")
		}
		for _, e := range events {
			// Objects other than Jobs and Pods are applied at each deploy, as others are.
			if !slices.Contains(h.Events, e) && (e != Sync || o.Ref().RunsOnce()) {
				h.Events = append(h.Events, e)
			}
		}
	}
	if len(h.Events) == 0 {
		return nil, nil
	}
	if text, ok := o.annotation(tool.weight); ok {
		var err error
		if h.Weight, err = strconv.Atoi(text); err != nil {
			return nil, o.misread(tool.weight, "is not a number")
		}
	}
	text, _ := o.annotation(tool.policy)
	for _, policy := range namesIn(text) {
		switch strings.ToLower(strings.ReplaceAll(policy, "-", "")) {
		case "hooksucceeded":
			h.AfterSuccess = true
		case "hookfailed":
			h.AfterFailure = true
		case "beforehookcreation":
		default:
			return nil, o.misread(tool.policy, "is not a known policy")
		}
	}
	return h, nil
}

func namesIn(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

// dependencies reads "group/namespaces/namespace/kind/name" and "group/kind/name".
func (o Object) dependencies() ([]Ref, error) {
	text, ok := o.annotation(dependsAnnotation)
	if !ok {
		return nil, nil
	}
	var refs []Ref
	for _, item := range strings.Split(text, ",") {
		parts := strings.Split(strings.TrimSpace(item), "/")
		switch {
		case len(parts) == 5 && parts[1] == "namespaces":
			refs = append(refs, Ref{Group: parts[0], Namespace: parts[2], Kind: parts[3], Name: parts[4]})
		case len(parts) == 3:
			refs = append(refs, Ref{Group: parts[0], Kind: parts[1], Name: parts[2]})
		default:
			return nil, o.misread(dependsAnnotation,
				"is not GROUP/namespaces/NAMESPACE/KIND/NAME or GROUP/KIND/NAME")
		}
	}
	return refs, nil
}

// changeRules reads the groups and rules of kapp; their annotations may end in a dot and a suffix.
func (o Object) changeRules(s Schedule) (Schedule, error) {
	r := o.Ref()
	fill := strings.NewReplacer("{api-group}", r.Group, "{kind}", r.Kind, "{namespace}", r.Namespace, "{name}",
		r.Name).Replace
	for key := range o.Annotations() {
		base, _, _ := strings.Cut(strings.TrimPrefix(key, "kapp.k14s.io/"), ".")
		text, ok := o.annotation(key)
		switch key := "kapp.k14s.io/" + base; {
		case !ok || !strings.HasPrefix(key, groupAnnotation) && !strings.HasPrefix(key, ruleAnnotation):
		case key == groupAnnotation:
			s.Groups = append(s.Groups, fill(text))
		case key == ruleAnnotation:
			rule, err := changeRule(fill(text))
			if err != nil {
				return s, o.misread(key, err.Error())
			}
			if rule.Deletes || rule.Deleted {
				s.Deletions = append(s.Deletions, rule)
			} else {
				s.Rules = append(s.Rules, rule)
			}
		}
	}
	slices.Sort(s.Groups)
	byGroup := func(a, b ChangeRule) int { return strings.Compare(a.Group, b.Group) }
	slices.SortFunc(s.Rules, byGroup)
	slices.SortFunc(s.Deletions, byGroup)
	return s, nil
}

// changeRule reads "upsert after upserting GROUP".
func changeRule(text string) (ChangeRule, error) {
	w := strings.Fields(text)
	if len(w) != 4 || w[0] != "upsert" && w[0] != "delete" || w[1] != "after" && w[1] != "before" ||
		w[2] != "upserting" && w[2] != "deleting" {
		return ChangeRule{}, errors.New("is not a rule such as \"upsert after upserting GROUP\"")
	}
	return ChangeRule{Before: w[1] == "before", Group: w[3], Deletes: w[0] == "delete",
		Deleted: w[2] == "deleting"}, nil
}
