package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"slipway/internal/object"
)

const (
	// streamTime is after how long a watch is opened again: one whose connection is dead looks like one
	// without news.
	streamTime = 15 * time.Second
	streamLate = 5 * time.Second
	// resumeAfter is the pause before a list after a watch has failed.
	resumeAfter = time.Second
)

// Watched are objects as the server has them, kept up to date by watches: one for each kind and namespace, or
// one for each object where there are few.
type Watched struct {
	c       *Cluster
	feeds   map[object.Ref]*feed
	changed chan struct{}
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	moved map[object.Ref]bool
}

// feed is one watch. Its fields are guarded by the mutex of Watched.
type feed struct {
	kind    object.Ref // with a name when it is of one object
	all     collection
	at      dynamic.ResourceInterface
	wanted  map[object.Ref]bool
	live    map[object.Ref]object.Object
	version string // of the list or of the last event
	synced  bool
	// denied is why the user may not list or watch.
	denied error
}

// Watch lists objects. Follow keeps them up to date after that. They share their equal parts with alike, such
// as the same objects in their source, which must not be changed.
func Watch(ctx context.Context, c *Cluster, refs []object.Ref, alike []object.Object) *Watched {
	w := &Watched{c: c, feeds: make(map[object.Ref]*feed, len(refs)), changed: make(chan struct{}, 1),
		moved: map[object.Ref]bool{}}
	groups := map[object.Ref][]object.Ref{}
	for _, ref := range refs {
		kind := ref
		kind.Name = ""
		groups[kind] = append(groups[kind], ref)
	}
	var all []*feed
	for kind, group := range groups {
		for _, part := range parts(group) {
			s := &feed{kind: kind, wanted: map[object.Ref]bool{}}
			if len(part) == 1 {
				s.kind = part[0]
			}
			for _, ref := range part {
				s.wanted[ref], w.feeds[ref] = true, s
			}
			all = append(all, s)
		}
	}
	Each(len(all), func(i int) {
		var err error
		if all[i].all, err = c.collection(ctx, all[i].kind, ""); err == nil {
			all[i].at, err = c.endpoint(ctx, all[i].kind, "")
		}
		if err != nil {
			return
		}
		var pool object.Pool
		for _, o := range alike {
			if all[i].wanted[o.Ref()] {
				pool.Add(o)
			}
		}
		w.list(ctx, all[i], &pool)
	})
	return w
}

// parts are the objects of a kind that share a watch.
func parts(group []object.Ref) [][]object.Ref {
	if len(group) >= listFrom {
		return [][]object.Ref{group}
	}
	return slices.Collect(slices.Chunk(group, 1))
}

// Follow opens the watches. They end with Stop, which must be called.
func (w *Watched) Follow(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	seen := map[*feed]bool{}
	for _, s := range w.feeds {
		if seen[s] || s.at == nil || s.denied != nil {
			continue
		}
		seen[s] = true
		w.done.Go(func() { w.follow(ctx, s) })
	}
}

// Stop ends the watches, and waits until they have ended.
func (w *Watched) Stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.done.Wait()
}

// Changed receives after objects have changed: see Moved.
func (w *Watched) Changed() <-chan struct{} { return w.changed }

// Moved returns the objects that have changed since the last call.
func (w *Watched) Moved() []object.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	refs := make([]object.Ref, 0, len(w.moved))
	for ref := range w.moved {
		refs = append(refs, ref)
	}
	clear(w.moved)
	return refs
}

// Denied returns why objects are not watched, once for each kind; the caller has to ask for these.
func (w *Watched) Denied() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []error
	told := map[error]bool{}
	for _, s := range w.feeds {
		if s.denied != nil && !told[s.denied] {
			told[s.denied] = true
			all = append(all, s.denied)
		}
	}
	return all
}

// Get returns an object as the watch has it, and asks the server where there is none. The error is
// client-go's: see Explain.
func (w *Watched) Get(ctx context.Context, ref object.Ref) (object.Object, bool, error) {
	if s := w.feeds[ref]; s != nil {
		w.mu.Lock()
		live, found := s.live[ref]
		synced := s.synced
		w.mu.Unlock()
		if synced {
			return live, found, nil
		}
	}
	return w.c.Get(ctx, ref)
}

// list reads all objects of a feed.
func (w *Watched) list(ctx context.Context, s *feed, pool *object.Pool) {
	live, version, err := s.read(ctx, pool)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.synced = err == nil
	if isRefusal(err) {
		s.denied = w.c.Explain(ctx, "watch", s.kind, err)
	}
	if err != nil {
		return
	}
	for ref := range s.wanted {
		is, was := live[ref], s.live[ref]
		if is.At("metadata", "resourceVersion") != was.At("metadata", "resourceVersion") {
			w.moved[ref] = true
		}
	}
	s.live, s.version = live, version
	w.signal()
}

// isRefusal says that another try would not help.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err)
}

func (s *feed) read(ctx context.Context, pool *object.Pool) (map[object.Ref]object.Object, string, error) {
	live, opt := map[object.Ref]object.Object{}, s.options()
	opt.Limit = pageSize
	for {
		page, err := s.all.page(ctx, opt, func(item *unstructured.Unstructured) bool {
			if o := received(item); s.wanted[o.Ref()] {
				live[o.Ref()] = pool.Fold(o)
			}
			return true
		})
		if err != nil {
			return nil, "", err
		}
		if opt.Continue = page.GetContinue(); opt.Continue == "" {
			return live, page.GetResourceVersion(), nil
		}
	}
}

func (s *feed) options() metav1.ListOptions {
	if s.kind.Name == "" {
		return metav1.ListOptions{}
	}
	return metav1.ListOptions{FieldSelector: "metadata.name=" + s.kind.Name}
}

// follow watches until the context ends. It lists again where a watch cannot be continued.
func (w *Watched) follow(ctx context.Context, s *feed) {
	for ctx.Err() == nil && s.denied == nil {
		if !s.synced {
			var pool object.Pool
			for _, o := range s.live {
				pool.Add(o)
			}
			w.list(ctx, s, &pool)
		}
		if s.synced && w.consume(ctx, s) {
			continue
		}
		w.mu.Lock()
		s.synced = false
		w.mu.Unlock()
		if !Sleep(ctx, resumeAfter) {
			return
		}
	}
}

// errGone says that a watch cannot be continued.
var errGone = errors.New("the watch cannot be continued")

// consume reads one watch to its end. It is false when that was not the end that was agreed on.
func (w *Watched) consume(ctx context.Context, s *feed) bool {
	ctx, cancel := context.WithTimeout(ctx, streamTime+streamLate)
	defer cancel()
	opt, seconds := s.options(), int64(streamTime/time.Second)
	opt.ResourceVersion, opt.TimeoutSeconds, opt.AllowWatchBookmarks = s.version, &seconds, true
	began := time.Now()
	events, err := s.at.Watch(ctx, opt)
	if isRefusal(err) {
		w.mu.Lock()
		s.denied = w.c.Explain(ctx, "watch", s.kind, err)
		w.mu.Unlock()
		w.signal()
	}
	if err != nil {
		return false
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-events.ResultChan():
			if !ok {
				return time.Since(began) >= streamTime-time.Second
			}
			if w.take(s, e) != nil {
				return false
			}
		}
	}
}

// take notes one event.
func (w *Watched) take(s *feed, e watch.Event) error {
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok || e.Type == watch.Error {
		return errGone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.version = u.GetResourceVersion()
	o := received(u)
	if e.Type == watch.Bookmark || !s.wanted[o.Ref()] {
		return nil
	}
	if e.Type == watch.Deleted {
		delete(s.live, o.Ref())
	} else {
		var pool object.Pool // most of an object stays the same
		pool.Add(s.live[o.Ref()])
		s.live[o.Ref()] = pool.Fold(o)
	}
	w.moved[o.Ref()] = true
	w.signal()
	return nil
}

func (w *Watched) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
