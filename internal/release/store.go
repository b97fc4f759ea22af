package release

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

const (
	// kept is the number of records that an environment keeps.
	kept = 10
	// maxHeld is how many older records it keeps because their content is in quarantine.
	maxHeld = 20
)

const (
	projectLabel     = "slipway.dev/project"
	environmentLabel = "slipway.dev/environment"
	revisionLabel    = "slipway.dev/revision"
	// asideLabel marks records of a namespace that the project does not name, such as that of a preview.
	asideLabel = "slipway.dev/aside"
)

// Store keeps the releases of one environment.
type Store struct {
	Cluster     *cluster.Cluster
	Project     string
	Environment string
	// Aside: the project does not name the namespace.
	Aside bool
	// IsFormer says whether the newest release of another environment in the namespace is one of this
	// environment, from before it was renamed. Nil: it never was.
	IsFormer func(context.Context, Release) bool
	// Unmoved: a look a moment ago found no records of the environment in other namespaces: see Past.Unmoved.
	Unmoved bool
	// Alike are objects such as the recorded ones: these share their equal parts, which must not be changed.
	Alike object.Set
	// Decoded keeps what was decoded, for readers that do not change it; nil: each read decodes.
	Decoded *Decoded
}

// Past is the content of the records of an environment.
type Past struct {
	// Latest is the newest release in the present namespace with all its fields; the zero value when the
	// environment has none.
	Latest Release
	// Releases are the recorded releases, newest first, without evidence and objects. Those with a Namespace
	// are of the namespace that the environment had before.
	Releases []Release
	// Pauses keep an agent from changing the environment. Some may have ended.
	Pauses Pauses

	versions map[string]string
	// unmoved is when no release of another namespace was found; zero: one was, or none was looked for.
	unmoved time.Time
}

// Then returns the past after another release was recorded.
func (p Past) Then(r Release) Past {
	next := Past{Latest: r, Releases: append([]Release{r}, p.Releases...), Pauses: p.Pauses,
		versions: maps.Clone(p.versions)}
	if next.versions == nil {
		next.versions = map[string]string{}
	}
	next.versions[Store{}.of(r).name(r.Revision)] = r.version
	return next
}

// Versions are the resourceVersions of the records that the environment has under its present name, by the
// names of the records.
func (p Past) Versions() map[string]string { return p.versions }

// Past reads the records: one list, in most cases.
func (s Store) Past(ctx context.Context) (Past, error) {
	began := time.Now()
	releases, paused, listed, err := s.list(ctx)
	if err == nil {
		releases, err = s.withEarlier(ctx, releases, listed)
	}
	past := Past{Pauses: paused, versions: map[string]string{}}
	if err == nil && s.mayMove() && !(Past{Releases: releases}).HasMoved() {
		past.unmoved = began
	}
	for _, r := range listed.own {
		past.versions[r.name] = r.version
	}
	if err != nil || len(releases) == 0 {
		return past, err
	}
	newest := newestHere(releases)
	if past.Releases = releases; newest.Revision == 0 {
		return past, nil
	}
	if r, ok := listed.read(ctx, s.Cluster, s.of(newest).name(newest.Revision)); ok {
		past.Latest, err = s.of(newest).release(ctx, r)
		return past, err
	}
	past.Latest, err = s.Get(ctx, newest.Revision)
	return past, err
}

// Begin records the start of a release, before anything else is written, and returns it with its revision,
// the objects that it owns and its time. The caller holds the lock, and has read past under it. A release
// that is still pending in past was interrupted.
func (s Store) Begin(ctx context.Context, past Past, r Release) (Release, error) {
	if err := r.Leader.outrun(past); err != nil {
		return r, err
	}
	last := past.Latest
	if last.Revision > 0 && (!s.named(last) || len(last.Former) > 0) {
		if err := s.inherit(ctx); err != nil {
			return r, err
		}
		var err error
		if last, err = s.Get(ctx, last.Revision); err != nil {
			return r, err
		}
	}
	if last.pending {
		var err error
		last.Status = Interrupted
		if last, err = s.write(ctx, last); err != nil {
			return r, err
		}
	}
	if (last.Revision == 0 || last.Status == Deleted) && past.HasMoved() {
		if err := s.copyMoved(ctx); err != nil {
			return r, err
		}
	}
	r.Project, r.Environment, r.Former = s.Project, s.Environment, last.Former
	r.Revision, r.Status, r.version, r.chunks = last.Revision+1, Pending, "", 0
	if len(past.Releases) > 0 {
		r.Revision = max(r.Revision, past.Releases[0].Revision+1) // of the namespace before, maybe
	}
	r.Digest = r.Objects.Digest()
	r.Owned = union(append(r.Owned, last.Owned...), r.Objects.Refs())
	if r.Started.IsZero() {
		r.Started = time.Now().UTC().Truncate(time.Second)
	}
	r, err := s.write(ctx, r)
	if err != nil {
		return r, err
	}
	return r, s.forget(ctx, past.Releases, r)
}

// Finish records the outcome of a release: Status, Failure and Evidence, as the caller has set them. A
// healthy release then owns its objects and those that were kept; any other still owns what it did.
func (s Store) Finish(ctx context.Context, r Release) (Release, error) {
	if r.Finished.IsZero() {
		r.Finished = time.Now().UTC().Truncate(time.Second)
	}
	if r.Status == Healthy || r.Status == Deleted {
		r.Owned, r.Former = union(r.Objects.Refs(), r.Kept), nil
	}
	written, err := s.write(ctx, r)
	written.pending = err != nil
	return written, err
}

// Hold quarantines the content of a recorded release, and the images that it brought in. ran are the digests
// that its pods ran where the release does not say so itself.
func (s Store) Hold(ctx context.Context, revision int, reason string, ran []string) (Release, error) {
	return s.Quarantine(ctx, revision, Quarantine{Reason: reason}, ran)
}

// Quarantine is Hold with the reason of a person. It fills in the time and the images.
func (s Store) Quarantine(ctx context.Context, revision int, q Quarantine, ran []string) (Release, error) {
	r, err := s.Get(ctx, revision)
	if err != nil {
		return r, err
	}
	history, err := s.History(ctx)
	if err != nil {
		return r, err
	}
	if len(r.Ran) == 0 {
		r.Ran = ran
	}
	q.Since, q.Images = time.Now().UTC().Truncate(time.Second), broughtIn(r, history)
	r.Quarantine = &q
	return s.write(ctx, r)
}

// Quarantines lists the releases that are or were in quarantine, newest first.
func (s Store) Quarantines(ctx context.Context) ([]Release, error) {
	history, err := s.History(ctx)
	held := []Release{}
	for _, r := range history {
		if r.Quarantine != nil {
			held = append(held, r)
		}
	}
	return held, err
}

// Lift ends the quarantine of a release. It fails with ErrNotHeld where there is none.
func (s Store) Lift(ctx context.Context, revision int, who, reason string) (Release, error) {
	r, err := s.Get(ctx, revision)
	if err != nil {
		return r, err
	}
	if r.Quarantine == nil || r.Quarantine.Lifted != nil {
		return r, fmt.Errorf("release %d of %s: %w", revision, s.Environment, ErrNotHeld)
	}
	r.Quarantine.Lifted = &Lifted{Who: who, Reason: reason, Time: time.Now().UTC().Truncate(time.Second)}
	return s.write(ctx, r)
}

// Selector selects the records of the environment, by their labels.
func (s Store) Selector() string {
	return fmt.Sprintf("!%s,%s=%s,%s=%s", partOf, projectLabel, safe(s.Project), environmentLabel,
		safe(s.Environment))
}

// History lists the recorded releases, newest first, without evidence and objects. Those from before the
// environment was renamed, or got another namespace, are among them.
func (s Store) History(ctx context.Context) ([]Release, error) {
	own, _, listed, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	return s.withEarlier(ctx, own, listed)
}

// withEarlier adds the releases of the former name and of the former namespace, newest first.
func (s Store) withEarlier(ctx context.Context, own []Release, listed shelf) ([]Release, error) {
	own, err := s.withFormer(ctx, own, listed)
	if err != nil {
		return nil, err
	}
	return s.withMoved(ctx, own)
}

// list lists the releases that have the store's names, and the pauses.
func (s Store) list(ctx context.Context) ([]Release, Pauses, shelf, error) {
	listed, err := listShelf(ctx, s.Cluster, map[string]string{
		projectLabel: safe(s.Project), environmentLabel: safe(s.Environment),
	})
	if err != nil {
		return nil, nil, shelf{}, err
	}
	heads, paused, err := pauses(listed.own)
	if err != nil {
		return nil, nil, shelf{}, err
	}
	releases, err := summaries(heads)
	if err != nil {
		return nil, nil, shelf{}, err
	}
	for i := range releases {
		if releases[i], err = s.present(ctx, releases[i]); err != nil {
			return nil, nil, shelf{}, err
		}
	}
	return releases, paused, listed, nil
}

// summaries reads the releases of some heads, newest first.
func summaries(heads []record) ([]Release, error) {
	slices.SortStableFunc(heads, func(a, b record) int { return cmp.Compare(revisionOf(b), revisionOf(a)) })
	releases := make([]Release, len(heads))
	for i, h := range heads {
		if err := json.Unmarshal(h.summary, &releases[i]); err != nil {
			return nil, fmt.Errorf("read record %s: %w", h.name, err)
		}
	}
	return releases, nil
}

// Get reads one release with all its fields. It fails with ErrNone when the revision is not recorded.
func (s Store) Get(ctx context.Context, revision int) (Release, error) {
	name := s.name(revision)
	stored, found, err := readRecord(ctx, s.Cluster, name)
	if err != nil {
		return Release{}, err
	}
	if !found {
		for _, earlier := range []func(context.Context, int) (Release, bool, error){s.formerly, s.getMoved} {
			if was, ok, err := earlier(ctx, revision); ok || err != nil {
				return was, err
			}
		}
		return Release{}, fmt.Errorf("release %d of %s → %s: %w", revision, s.Project, s.Environment, ErrNone)
	}
	return s.release(ctx, stored)
}

// release decodes a whole record.
func (s Store) release(ctx context.Context, stored record) (Release, error) {
	r, err := s.decode(stored)
	if err != nil {
		return Release{}, fmt.Errorf("read record %s: %w", stored.name, err)
	}
	r.version, r.chunks = stored.version, stored.chunks
	return s.present(ctx, r)
}

// Lock takes the lock of the environment, and that of its former name where the newest release has it, or was
// moved from it and is not healthy yet. Its Lease goes with the lock. Lock fails with a *LockedError when
// another deploy holds one of them.
func (s Store) Lock(ctx context.Context, h Holder, latest Release) (*Lock, error) {
	lock := acquire
	if latest.Revision == 0 { // the Lease will not exist either
		lock = func(ctx context.Context, c *cluster.Cluster, name string, h Holder) (*Lock, error) {
			return acquireFrom(ctx, c, newLease(name), h)
		}
	}
	own, err := lock(ctx, s.Cluster, s.lockName(), h)
	if err != nil || latest.Revision == 0 {
		return own, err
	}
	was := s.of(latest)
	if n := len(latest.Former); s.named(latest) && n > 0 {
		was.Project, was.Environment, _ = strings.Cut(latest.Former[n-1], "/")
	}
	if was.lockName() == s.lockName() {
		return own, nil
	}
	former, err := acquire(own.Context(), s.Cluster, was.lockName(), h)
	if err != nil {
		return nil, errors.Join(err, own.Unlock(ctx))
	}
	former.outer, former.obsolete = own, true
	return former, nil
}

func revisionOf(r record) int {
	n, _ := strconv.Atoi(r.labels[revisionLabel]) // a record without it is older than all
	return n
}

// present turns a pending release into an interrupted one when no deploy holds the lock.
func (s Store) present(ctx context.Context, r Release) (Release, error) {
	if r.pending = r.Status == Pending; !r.pending {
		return r, nil
	}
	_, held, err := currentHolder(ctx, s.Cluster, s.lockName())
	if err != nil {
		return r, err
	}
	if !held {
		r.Status = Interrupted
	}
	return r, nil
}

func (s Store) write(ctx context.Context, r Release) (Release, error) {
	r = hide(r)
	summary, data, err := encode(r)
	if err != nil {
		return r, fmt.Errorf("write %s: %w", r, err)
	}
	written, err := writeRecord(ctx, s.Cluster, record{
		name: s.name(r.Revision), version: r.version, chunks: r.chunks, summary: summary, data: data,
		labels: s.labels(r),
	})
	r.version, r.chunks = written.version, written.chunks
	return r, err
}

func (s Store) labels(r Release) map[string]string {
	labels := map[string]string{
		projectLabel: safe(s.Project), environmentLabel: safe(s.Environment),
		revisionLabel: strconv.Itoa(r.Revision),
	}
	if s.Aside {
		labels[asideLabel] = "true"
	}
	if source := r.source(); source != "" {
		labels[sourceLabel] = source
	}
	return labels
}

// forget deletes the oldest records, except the last healthy one and the last one that stayed healthy. past
// are the releases before the new one, newest first. The new one may have found the newest of them down.
func (s Store) forget(ctx context.Context, past []Release, newest Release) error {
	history := append([]Release{newest}, past...)
	healthy := lastHealthy(past, func(Release) bool { return true })
	stable := lastHealthy(past, func(r Release) bool { return !WasFoundDown(history, r.Revision) && !r.Held() })
	held := 0
	for i := kept - 1; i < len(past); i++ {
		if past[i].Held() {
			held++
		}
		if i == healthy || i == stable || past[i].Held() && held <= maxHeld {
			continue
		}
		if err := deleteRecord(ctx, s.Cluster, s.name(past[i].Revision)); err != nil {
			return err
		}
	}
	return nil
}

// lastHealthy returns the index of the newest healthy release that is wanted; -1 when there is none, or when
// the environment was deleted since.
func lastHealthy(history []Release, wanted func(Release) bool) int {
	for i, r := range history {
		switch {
		case r.Status == Healthy && wanted(r):
			return i
		case r.Status == Deleted:
			return -1
		}
	}
	return -1
}

// WasFoundDown says whether a later release of a history found this one down: it became healthy, and did not
// stay so.
func WasFoundDown(history []Release, revision int) bool {
	return slices.ContainsFunc(history, func(r Release) bool {
		return r.Found != nil && r.Found.Revision == revision
	})
}

func (s Store) name(revision int) string {
	return fmt.Sprintf("slipway.%s.%s.v%d", safe(s.Project), safe(s.Environment), revision)
}

// LockRef names the Lease that is the lock of the environment: what stands for it in its namespace.
func (s Store) LockRef() object.Ref {
	return object.Ref{Group: "coordination.k8s.io", Kind: "Lease", Namespace: s.Cluster.Namespace(),
		Name: s.lockName()}
}

func (s Store) lockName() string {
	return "slipway." + safe(s.Project) + "." + safe(s.Environment)
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// safe turns a name into one that is valid in labels and object names. A changed name gets a digest, so that
// it stays unique.
func safe(name string) string {
	const longest = 40
	s := strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s == name && len(s) <= longest && s != "" {
		return s
	}
	sum := sha256.Sum256([]byte(name))
	return strings.Trim(s[:min(len(s), longest)], "-") + "x" + hex.EncodeToString(sum[:4])
}

func safeAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = safe(n)
	}
	return out
}
