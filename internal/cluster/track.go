package cluster

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"slipway/internal/object"
)

// trackTime is after how long at least a watch of metadata is opened again.
const trackTime = 5 * time.Minute

// Tracker watches the metadata of objects, and tells which of them have changed. It keeps a fingerprint of
// each object and no copy, and does not tell what has changed.
type Tracker struct {
	c       *Cluster
	changed chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	trails map[selection]*trail
	wanted map[object.Ref]bool
	marks  map[object.Ref]mark
	moves  Moves
	// records are the versions of the records, by name.
	records map[string]string
}

// Moves are what has changed.
type Moves struct {
	Objects map[object.Ref]bool
	// Others says that an untracked object of a tracked kind was created or deleted.
	Others bool
	// Touched says that a tracked object was written, if only in its status. It does not wake the receiver.
	Touched bool
}

// selection is what one watch is about: a kind in a namespace, one object where kind has a name, or the
// records that have some labels.
type selection struct {
	kind    object.Ref
	records string
}

// trail is one watch.
type trail struct {
	selection
	at     metadata.ResourceInterface
	cancel context.CancelFunc
	// version is that of the list, until the watch takes it over.
	version string
	// denied is why the user may not watch. Guarded by the mutex of the Tracker.
	denied error
}

// NewTracker returns a tracker of nothing. The caller calls Stop.
func NewTracker(ctx context.Context, c *Cluster) *Tracker {
	t := &Tracker{c: c, changed: make(chan struct{}, 1), trails: map[selection]*trail{},
		marks: map[object.Ref]mark{}, moves: Moves{Objects: map[object.Ref]bool{}}}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

// Stop ends the watches, and waits until they have ended.
func (t *Tracker) Stop() {
	t.cancel()
	t.done.Wait()
}

// Changed receives after something has changed: see Take.
func (t *Tracker) Changed() <-chan struct{} { return t.changed }

// Take returns what has changed since the last call.
func (t *Tracker) Take() Moves {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.moves
	t.moves = Moves{Objects: map[object.Ref]bool{}}
	return taken
}

// Watches says whether changes of an object are told.
func (t *Tracker) Watches(ref object.Ref) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range []object.Ref{ref, {Group: ref.Group, Kind: ref.Kind, Namespace: ref.Namespace}} {
		if f := t.trails[selection{kind: kind}]; f != nil {
			return f.denied == nil
		}
	}
	return false
}

// HasRecords says that the records are watched, and that these are the versions of all, by name.
func (t *Tracker) HasRecords(versions map[string]string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.trails {
		if f.records != "" {
			return f.denied == nil && maps.Equal(t.records, versions)
		}
	}
	return false
}

// IsAt says that an object is watched, and was not written since it had a resourceVersion.
func (t *Tracker) IsAt(ref object.Ref, version string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, known := t.marks[ref]
	return known && m.version == version
}

// Denied returns why some kinds are not watched, sorted: the caller has to read these.
func (t *Tracker) Denied() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, f := range t.trails {
		if f.denied != nil {
			all = append(all, f.denied.Error())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Track makes these the objects to watch, and the records that have the labels. What changes after it has
// returned is told. A kind that could not be watched is tried again at each call.
func (t *Tracker) Track(refs []object.Ref, records string) {
	t.mu.Lock()
	before := t.wanted
	t.wanted = map[object.Ref]bool{}
	needed := map[selection]bool{{kind: secretRef(t.c, ""), records: records}: true}
	stale := map[selection]bool{} // with objects that were not wanted before
	for s := range selections(refs) {
		needed[s] = true
	}
	for _, ref := range refs {
		t.wanted[ref] = true
		if !before[ref] {
			stale[selection{kind: ref}] = true
			stale[selection{kind: object.Ref{Group: ref.Group, Kind: ref.Kind, Namespace: ref.Namespace}}] = true
		}
	}
	maps.DeleteFunc(t.marks, func(r object.Ref, _ mark) bool { return !t.wanted[r] })
	for s, f := range t.trails {
		if !needed[s] || stale[s] || f.denied != nil {
			f.cancel()
			delete(t.trails, s)
		}
	}
	var fresh []*trail
	for s := range needed {
		if t.trails[s] == nil {
			t.trails[s] = &trail{selection: s}
			fresh = append(fresh, t.trails[s])
		}
	}
	t.mu.Unlock()
	Each(len(fresh), func(i int) { t.open(fresh[i]) })
}

// selections are the watches for some objects: one for each kind and namespace, and one for each object
// of kinds without a namespace where there are few.
func selections(refs []object.Ref) map[selection]bool {
	all, global := map[selection]bool{}, map[object.Ref][]object.Ref{}
	for _, ref := range refs {
		kind := object.Ref{Group: ref.Group, Kind: ref.Kind, Namespace: ref.Namespace}
		if ref.Namespace != "" {
			all[selection{kind: kind}] = true
		} else {
			global[kind] = append(global[kind], ref)
		}
	}
	for kind, group := range global {
		for _, part := range parts(group) {
			if len(part) == 1 {
				kind = part[0]
			}
			all[selection{kind: kind}] = true
		}
	}
	return all
}

// open lists the objects of a watch, and begins it.
func (t *Tracker) open(f *trail) {
	ctx, cancel := context.WithCancel(t.ctx)
	f.cancel = cancel
	m, err := t.c.mapping(ctx, f.kind, "")
	if err == nil {
		f.at = t.c.metadata.Resource(m.Resource)
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			f.at = t.c.metadata.Resource(m.Resource).Namespace(f.kind.Namespace)
		}
		f.version, err = t.list(ctx, f, false)
	}
	if t.deny(ctx, f, err) {
		return
	}
	t.done.Go(func() { t.follow(ctx, f) })
}

// deny notes that the user may not watch, or that there is nothing to watch.
func (t *Tracker) deny(ctx context.Context, f *trail, err error) bool {
	if !isRefusal(err) && !errors.As(err, new(*UnknownKindError)) {
		return false
	}
	err = t.c.Explain(ctx, "watch", f.kind, err)
	t.mu.Lock()
	f.denied = err
	t.mu.Unlock()
	return true
}

// follow watches until the context ends. It lists again where the watch cannot be continued.
func (t *Tracker) follow(ctx context.Context, f *trail) {
	for ctx.Err() == nil {
		var err error
		if f.version == "" {
			f.version, err = t.list(ctx, f, true)
		} else {
			f.version, err = t.consume(ctx, f, f.version)
			f.version = t.resumable(ctx, f, err)
		}
		if t.deny(ctx, f, err) {
			t.signal() // the caller reads these from now on
			return
		}
		if err != nil && !Sleep(ctx, resumeAfter) {
			return
		}
	}
}

func (f *trail) options() metav1.ListOptions {
	opt := metav1.ListOptions{LabelSelector: f.records}
	switch {
	case f.records != "":
		opt.FieldSelector = "type=" + RecordType
	case f.kind.Name != "":
		opt.FieldSelector = "metadata.name=" + f.kind.Name
	case isCoreSecret(f.kind):
		opt.FieldSelector = "type!=" + RecordType
	}
	return opt
}

// list reads the metadata of all objects of a watch. With tell it tells what has changed since the last time.
func (t *Tracker) list(ctx context.Context, f *trail, tell bool) (version string, err error) {
	opt := f.options()
	opt.Limit = pageSize
	there, records := map[object.Ref]bool{}, map[string]string{}
	for {
		page, err := f.at.List(ctx, opt)
		if err != nil {
			return "", err
		}
		t.mu.Lock()
		for i := range page.Items {
			item := &page.Items[i]
			ref := f.refOf(item)
			switch {
			case f.records != "":
				records[item.Name] = item.ResourceVersion
			case t.wanted[ref]:
				there[ref] = true
				now := markOf(item)
				if was := t.marks[ref]; tell && (now.sum != was.sum || now.own != was.own) {
					t.moves.Objects[ref] = true
				}
				t.marks[ref] = now
			default:
				t.moves.Others = t.moves.Others || !isOfControllers(item)
			}
		}
		t.mu.Unlock()
		if opt.Continue = page.GetContinue(); opt.Continue == "" {
			t.missing(f, there, records, tell)
			return page.GetResourceVersion(), nil
		}
	}
}

// missing ends a list: objects that are not in it do not exist.
func (t *Tracker) missing(f *trail, there map[object.Ref]bool, records map[string]string, tell bool) {
	t.mu.Lock()
	if f.records != "" {
		for name, version := range t.records {
			if now := records[name]; tell && (now == "" || wentBack(version, now)) {
				for ref := range t.wanted { // of an older state, or this record alone was deleted
					t.moves.Objects[ref] = true
				}
			}
		}
		t.records = records
	}
	for ref := range t.marks {
		if f.covers(ref) && !there[ref] {
			delete(t.marks, ref)
			t.moves.Objects[ref] = tell || t.moves.Objects[ref]
		}
	}
	if tell {
		t.moves.Others, t.moves.Touched = true, true
	}
	t.mu.Unlock()
	if tell {
		t.signal()
	}
}

func (f *trail) covers(ref object.Ref) bool {
	if f.records != "" {
		return false
	}
	if f.kind.Name == "" {
		ref.Name = ""
	}
	return ref == f.kind
}

func (f *trail) refOf(m *metav1.PartialObjectMetadata) object.Ref {
	return object.Ref{Group: f.kind.Group, Kind: f.kind.Kind, Namespace: m.Namespace, Name: m.Name}
}

// consume reads one watch to its end, and returns the version to go on from; "" where it has to list again.
func (t *Tracker) consume(ctx context.Context, f *trail, version string) (string, error) {
	opt := f.options()
	seconds := int64((trackTime + rand.N(trackTime)) / time.Second)
	opt.ResourceVersion, opt.TimeoutSeconds, opt.AllowWatchBookmarks = version, &seconds, true
	events, err := f.at.Watch(ctx, opt)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return "", err
	}
	if err != nil {
		return version, err
	}
	defer events.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return version, nil
		case e, ok := <-events.ResultChan():
			if !ok && time.Since(began) < time.Duration(seconds)*time.Second-resumeAfter {
				return version, errBroken
			}
			if !ok {
				return version, nil
			}
			m, is := e.Object.(*metav1.PartialObjectMetadata)
			if !is || wentBack(version, m.ResourceVersion) {
				return "", errGone
			}
			version = m.ResourceVersion
			t.take(f, e.Type, m)
		}
	}
}

// errBroken says that a watch ended before its time: the server may have restarted.
var errBroken = errors.New("the watch broke off")

// resumable returns the version that a watch goes on from; "" where it has to list again. Data that was
// restored from a backup may have lower versions: a watch from one that the server has not reached yet tells
// nothing. Or they have overtaken it meanwhile, and the watch tells nothing of the time before: the records,
// which are few, are listed after each break, and tell.
func (t *Tracker) resumable(ctx context.Context, f *trail, ended error) string {
	switch {
	case f.version == "" || ended == nil || ctx.Err() != nil:
		return f.version
	case f.records != "":
		return ""
	}
	opt := f.options()
	opt.Limit = 1
	page, err := f.at.List(ctx, opt)
	if err == nil && wentBack(f.version, page.ResourceVersion) {
		return ""
	}
	return f.version
}

// wentBack says that a later resourceVersion is a lower number. Versions of one server's objects are ordered.
func wentBack(earlier, later string) bool {
	a, errA := strconv.ParseUint(earlier, 10, 64)
	b, errB := strconv.ParseUint(later, 10, 64)
	return errA == nil && errB == nil && b < a
}

// take notes one event. A write of our own is what the caller knows already.
func (t *Tracker) take(f *trail, how watch.EventType, m *metav1.PartialObjectMetadata) {
	if how == watch.Bookmark {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ref := f.refOf(m)
	was, now := t.marks[ref], markOf(m)
	t.moves.Touched = t.moves.Touched || t.wanted[ref]
	switch {
	case f.records != "" && how == watch.Deleted:
		delete(t.records, m.Name)
	case f.records != "":
		t.records[m.Name] = m.ResourceVersion
	case !t.wanted[ref]:
		if how == watch.Modified || len(m.OwnerReferences) > 0 {
			return
		}
		t.moves.Others = true
	case how == watch.Deleted:
		delete(t.marks, ref)
		t.moves.Objects[ref] = true
	default:
		t.marks[ref] = now
		if now.sum == was.sum || now.own > was.own {
			return
		}
		t.moves.Objects[ref] = true
	}
	t.signal()
}

func (t *Tracker) signal() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}
