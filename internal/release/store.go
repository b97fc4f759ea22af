package release

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/cluster"
)

// kept is how many records an environment keeps.
const kept = 10

const (
	projectLabel     = "slipway.dev/project"
	environmentLabel = "slipway.dev/environment"
	revisionLabel    = "slipway.dev/revision"
)

// Store keeps the releases of one environment.
type Store struct {
	Cluster     *cluster.Cluster
	Project     string
	Environment string
}

// Begin writes down that a release starts, before anything is changed, and returns it with its
// revision, what it owns and when it started. An earlier release that is still pending was
// interrupted. Whoever calls it holds the Lock.
func (s Store) Begin(ctx context.Context, r Release) (Release, error) {
	heads, err := s.heads(ctx)
	if err != nil {
		return r, err
	}
	var last Release
	if len(heads) > 0 {
		if last, err = s.load(ctx, heads[0].name); err != nil {
			return r, err
		}
	}
	if last.Status == Pending {
		last.Status = Interrupted
		if last, err = s.write(ctx, last); err != nil {
			return r, err
		}
	}
	r.Project, r.Environment = s.Project, s.Environment
	r.Revision, r.Status, r.version = last.Revision+1, Pending, ""
	r.Digest = r.Objects.Digest()
	r.Owned = union(last.Owned, r.Objects.Refs())
	if r.Started.IsZero() {
		r.Started = time.Now().UTC().Truncate(time.Second)
	}
	if r, err = s.write(ctx, r); err != nil {
		return r, err
	}
	return r, s.forget(ctx, heads)
}

// Finish writes down how a release ended: its Status, Failure and Evidence, as the caller set them.
// A healthy one owns from then on what it has, and what was kept; any other one owns what
// it did before.
func (s Store) Finish(ctx context.Context, r Release) (Release, error) {
	if r.Finished.IsZero() {
		r.Finished = time.Now().UTC().Truncate(time.Second)
	}
	if r.Status == Healthy || r.Status == Deleted {
		r.Owned = union(r.Objects.Refs(), r.Kept)
	}
	return s.write(ctx, r)
}

// History are the releases that are still known, newest first, without evidence and objects.
func (s Store) History(ctx context.Context) ([]Release, error) {
	heads, err := s.heads(ctx)
	if err != nil {
		return nil, err
	}
	releases := make([]Release, 0, len(heads))
	for _, h := range heads {
		var r Release
		if err := json.Unmarshal(h.summary, &r); err != nil {
			return nil, fmt.Errorf("read record %s: %w", h.name, err)
		}
		r.version = h.version
		if r, err = s.present(ctx, r); err != nil {
			return nil, err
		}
		releases = append(releases, r)
	}
	return releases, nil
}

// Latest is the newest release, whatever became of it; ErrNone when there was none.
func (s Store) Latest(ctx context.Context) (Release, error) {
	heads, err := s.heads(ctx)
	if err != nil {
		return Release{}, err
	}
	if len(heads) == 0 {
		return Release{}, s.none("release")
	}
	return s.whole(ctx, heads[0].name)
}

// Get is one release.
func (s Store) Get(ctx context.Context, revision int) (Release, error) {
	r, err := s.whole(ctx, s.name(revision))
	if errors.Is(err, ErrNone) {
		return r, s.none(fmt.Sprintf("release %d", revision))
	}
	return r, err
}

// Lock makes sure that nobody else deploys this environment.
func (s Store) Lock(ctx context.Context, h Holder) (*Lock, error) {
	return Acquire(ctx, s.Cluster, s.lockName(), h)
}

// Locked tells who seems to deploy this environment now.
func (s Store) Locked(ctx context.Context) (Holder, bool, error) {
	return Locked(ctx, s.Cluster, s.lockName())
}

// heads are the environment's records, newest first.
func (s Store) heads(ctx context.Context) ([]record, error) {
	heads, err := listRecords(ctx, s.Cluster, map[string]string{projectLabel: safe(s.Project),
		environmentLabel: safe(s.Environment)})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(heads, func(a, b record) int { return cmp.Compare(revisionOf(b), revisionOf(a)) })
	return heads, nil
}

func revisionOf(r record) int {
	n, _ := strconv.Atoi(r.labels[revisionLabel]) // a record without it is older than all
	return n
}

// whole is load as people see it.
func (s Store) whole(ctx context.Context, name string) (Release, error) {
	r, err := s.load(ctx, name)
	if err != nil {
		return Release{}, err
	}
	return s.present(ctx, r)
}

func (s Store) load(ctx context.Context, name string) (Release, error) {
	stored, found, err := readRecord(ctx, s.Cluster, name)
	if err != nil {
		return Release{}, err
	}
	if !found {
		return Release{}, s.none("record " + name)
	}
	r, err := decode(stored.data)
	if err != nil {
		return Release{}, fmt.Errorf("read record %s: %w", name, err)
	}
	r.version, r.chunks = stored.version, stored.chunks
	return r, nil
}

func (s Store) none(what string) error {
	return fmt.Errorf("%s of %s → %s: %w", what, s.Project, s.Environment, ErrNone)
}

// present shows a pending release that nobody works on as what it is.
func (s Store) present(ctx context.Context, r Release) (Release, error) {
	if r.Status != Pending {
		return r, nil
	}
	_, held, err := s.Locked(ctx)
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
		labels: map[string]string{
			projectLabel: safe(s.Project), environmentLabel: safe(s.Environment),
			revisionLabel: strconv.Itoa(r.Revision),
		},
	})
	r.version, r.chunks = written.version, written.chunks
	return r, err
}

// forget removes the oldest records. heads are those from before the release that begins.
func (s Store) forget(ctx context.Context, heads []record) error {
	if len(heads) < kept {
		return nil
	}
	history := make([]Release, len(heads))
	for i, h := range heads {
		if err := json.Unmarshal(h.summary, &history[i]); err != nil {
			return fmt.Errorf("read record %s: %w", h.name, err)
		}
	}
	healthy := lastHealthy(history)
	for i := kept - 1; i < len(heads); i++ {
		if i == healthy {
			continue
		}
		if err := deleteRecord(ctx, s.Cluster, heads[i].name); err != nil {
			return err
		}
	}
	return nil
}

// lastHealthy is the index of the newest healthy release in a history; -1 when there is none, or
// when the environment was emptied since.
func lastHealthy(history []Release) int {
	for i, r := range history {
		switch r.Status {
		case Healthy:
			return i
		case Deleted:
			return -1
		}
	}
	return -1
}

func (s Store) name(revision int) string {
	return fmt.Sprintf("slipway.%s.%s.v%d", safe(s.Project), safe(s.Environment), revision)
}

func (s Store) lockName() string {
	return "slipway." + safe(s.Project) + "." + safe(s.Environment)
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// safe makes a name fit for a label and an object's name; what it changes it makes distinct by a
// digest.
func safe(name string) string {
	const longest = 40
	s := strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s == name && len(s) <= longest && s != "" {
		return s
	}
	sum := sha256.Sum256([]byte(name))
	return strings.Trim(s[:min(len(s), longest)], "-") + "x" + hex.EncodeToString(sum[:4])
}
