package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// ObserveOptions say what is known before the cluster is read.
type ObserveOptions struct {
	// Owned are the objects that earlier releases made. Those that left the desired set are only read.
	Owned []object.Ref
	// Force plans to take over fields that other managers own.
	Force bool
	// Back says that the desired objects are those of an earlier release: see plan.MayGoBack.
	Back bool
	// Settled are the fingerprints of objects that were as their source wants them: see Fingerprint.
	Settled map[object.Ref]string
	// Before is what an earlier Observe found for the same desired set. What it says of an object that has not
	// changed since is taken over. Observe writes its result into it where it is about the same objects, so
	// that thousands of them are not held twice: the caller must not use it afterwards.
	Before []plan.Observed
}

// Observe reads each object of desired, which has been through Place, and asks the server in a dry run what
// applying it would give, with force or without. It does not ask where the answer is known: see
// ObserveOptions. A fault of one object is in its Err; Observe fails only where every object would.
func Observe(ctx context.Context, c *Cluster, desired object.Set, opt ObserveOptions) (
	[]plan.Observed, error) {
	made := map[object.Ref]bool{} // by an earlier release
	var surplus []object.Ref
	for _, ref := range opt.Owned {
		if _, ok := desired.Get(ref); !ok && !made[ref] {
			surplus = append(surplus, ref)
		}
		made[ref] = true
	}
	s := &survey{c: c, desired: desired, definitions: DefinedKinds(desired),
		scaled: scaledWorkloads(desired), force: opt.Force, back: opt.Back, settled: opt.Settled}
	targets := make([]target, 0, desired.Len()+len(surplus))
	for _, o := range desired.Objects() {
		kind, _ := o.At("type").(string)
		targets = append(targets, target{ref: o.Ref(), version: version(o), secretType: kind})
		s.pool.Add(o)
	}
	for _, ref := range surplus {
		targets = append(targets, target{ref: ref})
	}
	out := opt.Before
	if !slices.EqualFunc(out, targets, func(o plan.Observed, w target) bool { return o.Ref == w.ref }) {
		out = make([]plan.Observed, len(targets))
	}
	read, known := make([]reading, len(out)), make([]bool, len(out))
	unseen := func(i int) plan.Observed {
		o := plan.Observed{Ref: targets[i].ref, Adopting: !made[targets[i].ref] && !opt.Force}
		o.Desired, _ = desired.Get(o.Ref)
		return o
	}
	c.readAll(ctx, targets, func(i int, r reading) {
		if o := unseen(i); s.recognize(&o, out[i], r) {
			out[i], known[i] = o, true
		} else {
			read[i] = r
		}
	})
	Each(len(out), func(i int) {
		o := &out[i]
		if !known[i] {
			before := *o
			*o = unseen(i)
			s.examine(ctx, o, before, targets[i], read[i])
		}
		read[i] = reading{}
		o.Err = claimSize(o)
		o.Refused = apierrors.IsInvalid(o.Err) || isClaimSize(o.Err)
		o.Err = c.asTyped(ctx, o.Ref, withFields(o, o.Err))
	})
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	for _, o := range out {
		if isFatal(o.Err) {
			return out, o.Err
		}
	}
	nameMutators(ctx, c, out)
	return out, nil
}

// survey is one Observe.
type survey struct {
	c           *Cluster
	desired     object.Set
	definitions map[schema.GroupKind]Definition
	scaled      map[object.Ref]any
	force, back bool
	settled     map[object.Ref]string
	pool        object.Pool
	fields      fieldLists
	missing     sync.Map // the error of each namespace that does not exist
}

// recognize takes over what is known of an object, as isKnown says. Of thousands of objects that have not
// changed, what was read is not held together.
func (s *survey) recognize(o *plan.Observed, before plan.Observed, r reading) bool {
	if r.err != nil || r.live.Body == nil || o.Desired.Body == nil {
		return false
	}
	seen := *o
	seen.Live = s.pool.Fold(r.live)
	seen.Desired, seen.Injected = s.aim(o.Desired, seen.Live, r.managed)
	seen.Fingerprint = fingerprint(seen.Desired, seen.Live, r.managed)
	if !s.isKnown(&seen, before) {
		return false
	}
	seen.Holders = s.fields.holders(r.managed, seen.Live)
	*o = seen
	return true
}

// examine finds out what applying an object would give. It reads the object again where it has changed since
// it was read.
func (s *survey) examine(ctx context.Context, o *plan.Observed, before plan.Observed, w target, r reading) {
	source := o.Desired
	for range tries {
		o.Desired = source
		managed := s.look(ctx, o, r)
		o.Holders = s.fields.holders(managed, o.Live)
		if o.Err != nil || source.Body == nil {
			return
		}
		o.Live = s.pool.Fold(o.Live)
		o.Desired, o.Injected = s.aim(source, o.Live, managed)
		o.Fingerprint = fingerprint(o.Desired, o.Live, managed)
		if s.isKnown(o, before) {
			return
		}
		s.ask(ctx, o, managed)
		if o.Err == nil && o.Unverified == "" && !o.Fixed { // Merged is an answer of the server
			o.Merged = s.pool.Fold(planned(o))
		}
		if !errors.Is(o.Err, errMoved) {
			return
		}
		r = s.c.readOne(ctx, w)
	}
}

// planned is the server's answer to a dry run. That of an object which does not exist has no name and no time
// that stays.
func planned(o *plan.Observed) object.Object {
	if o.Live.Body != nil {
		return o.Merged
	}
	merged := plan.Wish(o.Merged)
	merged.Origin = o.Merged.Origin
	return merged
}

// look takes the live object and its managed fields from a reading.
func (s *survey) look(ctx context.Context, o *plan.Observed, r reading) (
	managed []metav1.ManagedFieldsEntry) {
	wanted := o.Desired.Body != nil
	o.Live, managed, o.Err = r.live, r.managed, r.err
	unknown, ok := errors.AsType[*UnknownKindError](o.Err)
	if !ok {
		return managed
	}
	unknown.Origin = o.Desired.Origin
	d, defined := s.definitions[groupKind(o.Ref)]
	switch {
	case !wanted && unknown.Err == nil:
		o.Err = nil // its kind is gone, and the object with it
	case wanted && defined:
		o.Unverified = fmt.Sprintf("its kind comes with %s of the same deploy", d.Ref)
		o.Live, _, o.Err = s.c.get(ctx, o.Ref, "") // in another version, maybe
		if errors.As(o.Err, &unknown) {
			o.Err = nil
		}
	}
	return nil
}

// aim is the object to apply over a live one: with the replicas of an autoscaler, and without what
// controllers fill in, which it names.
func (s *survey) aim(desired, live object.Object, managed []metav1.ManagedFieldsEntry) (
	object.Object, []string) {
	if minimum, scaled := s.scaled[desired.Ref()]; scaled {
		desired = keepReplicas(desired, live, minimum)
	}
	desired, injected := withoutInjected(withoutAggregated(desired), live, managed)
	if desired = wire(desired); live.Body != nil {
		// Another spelling of the same value would be a conflict, or a change of an immutable field.
		desired = object.Respell(desired, live)
	}
	return desired, injected
}

// ask tries the apply in a dry run.
func (s *survey) ask(ctx context.Context, o *plan.Observed, managed []metav1.ManagedFieldsEntry) {
	if o.Unverified == "" {
		opt := metav1.PatchOptions{Force: &s.force, DryRun: []string{metav1.DryRunAll}}
		if o.Merged, o.Err = s.try(ctx, o.Desired, opt); o.Err == nil {
			if fixed, changed := corrected(o.Desired, o.Merged); changed && o.Live.Body != nil {
				o.Desired = fixed
				o.Merged, o.Err = s.c.apply(ctx, o.Desired, opt)
			}
		}
		if o.Err == nil {
			if managed, o.Err = s.same(ctx, o, managed); o.Err == nil {
				o.Err = s.claimed(ctx, o, managed)
			}
			if o.Err == nil {
				o.Err = s.retyped(ctx, o, managed)
			}
			o.Stays = fixedAtCreation(o.Desired, o.Merged)
			return
		}
		if apierrors.IsInvalid(o.Err) {
			if o.Err = s.rewritten(ctx, o, managed, o.Err); o.Err == nil || errors.Is(o.Err, errMoved) {
				return
			}
		}
		if o.Fixed, o.Why = s.isFixed(o); o.Fixed {
			o.Merged, o.Err = wire(o.Desired), tryCreate(ctx, s.c, o.Desired)
			return
		}
		if o.Unverified = s.unverified(o.Ref, o.Err); o.Unverified != "" && isMissingNamespace(o.Err) {
			if o.Err = tryInDefault(ctx, s.c, o.Desired); o.Err != nil {
				o.Unverified = ""
			}
		}
	}
	if o.Unverified != "" {
		o.Merged, o.Err = wire(o.Desired), nil
	}
}

// try is a dry run. Where another one has found that the namespace does not exist, it is known to fail.
func (s *survey) try(ctx context.Context, o object.Object, opt metav1.PatchOptions) (object.Object, error) {
	namespace := o.Ref().Namespace
	if err, ok := s.missing.Load(namespace); ok && namespace != "" {
		return object.Object{}, err.(error)
	}
	merged, err := s.c.apply(ctx, o, opt)
	if isMissingNamespace(err) {
		s.missing.Store(namespace, err)
	}
	return merged, err
}

// same reads the live object again when a controller has written or deleted it since the first read: its
// change would look like ours.
func (s *survey) same(ctx context.Context, o *plan.Observed, managed []metav1.ManagedFieldsEntry) (
	[]metav1.ManagedFieldsEntry, error) {
	if o.Live.Body == nil || o.Live.At("metadata", "resourceVersion") == o.Merged.At("metadata",
		"resourceVersion") {
		return managed, nil
	}
	live, managed, err := s.c.read(ctx, o.Ref, version(o.Desired))
	if err == nil {
		o.Live = live
	}
	return managed, err
}

// unverified returns why a rejection of the dry run does not mean that the deploy would fail; empty when it
// does.
func (s *survey) unverified(ref object.Ref, err error) string {
	if isMissingNamespace(err) {
		if _, ok := s.desired.Get(object.Ref{Kind: "Namespace", Name: ref.Namespace}); ok {
			return fmt.Sprintf("namespace %s comes with the same deploy", ref.Namespace)
		}
	}
	// The object may need a schema that its definition gets in the same deploy.
	if down, ok := errors.AsType[*WebhookError](webhookDown(ref, err)); ok && s.brings(down.Webhook) {
		return fmt.Sprintf("webhook %s of the same deploy does not answer", down.Webhook)
	}
	if d, ok := s.definitions[groupKind(ref)]; ok && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) {
		return fmt.Sprintf("%s changes in the same deploy; without that change, the server says: %v", d.Ref, err)
	}
	if apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run") {
		return err.Error()
	}
	return ""
}

// keepReplicas keeps the live replicas of a workload that an autoscaler scales: leaving them out would reset
// them to one where we are the only manager that has set them. A new workload starts with the replicas of the
// source, or with the minimum of the autoscaler.
func keepReplicas(desired, live object.Object, minimum any) object.Object {
	if replicas := live.At("spec", "replicas"); replicas != nil {
		return withReplicas(desired, replicas)
	}
	if minimum != nil && desired.At("spec", "replicas") == nil {
		return withReplicas(desired, minimum)
	}
	return desired
}

// scaledWorkloads returns the workloads that an autoscaler of the set scales, with its minimum. An autoscaler
// that is not in the set shows as a conflict: see apply.
func scaledWorkloads(set object.Set) map[object.Ref]any {
	scaled := map[object.Ref]any{}
	for _, o := range set.Objects() {
		if r := o.Ref(); r.Group == "autoscaling" && r.Kind == "HorizontalPodAutoscaler" {
			target, _ := o.At("spec", "scaleTargetRef").(map[string]any)
			of := object.Object{Body: map[string]any{
				"apiVersion": target["apiVersion"], "kind": target["kind"],
				"metadata": map[string]any{"namespace": r.Namespace, "name": target["name"]},
			}}
			scaled[of.Ref()] = o.At("spec", "minReplicas")
		}
	}
	return scaled
}
