package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/rollout"
)

// newStore is the store of an environment of the test's own.
func newStore(t *testing.T) Store {
	t.Helper()
	c := newPlace(t).editor
	return Store{Cluster: c, Project: "shop", Environment: "prod"}
}

func objects(t *testing.T, names ...string) object.Set {
	t.Helper()
	var set object.Set
	for _, name := range names {
		list, err := object.Read(strings.NewReader(`{apiVersion: v1, kind: Secret, metadata: {name: `+name+
			`, namespace: shop},
  stringData: {password: hunter22}, numbers: [1, 1.5, 9007199254740993, true, null]}`), "k8s/"+name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Add(list[0]); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func begin(t *testing.T, s Store, names ...string) Release {
	t.Helper()
	r, err := s.Begin(t.Context(), pastOf(t, s), Release{Tag: "sha-3f9c2e1", Objects: objects(t, names...)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pastOf(t *testing.T, s Store) Past {
	t.Helper()
	past, err := s.Past(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return past
}

func finish(t *testing.T, s Store, r Release, status Status) Release {
	t.Helper()
	r.Status = status
	r, err := s.Finish(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(refs []object.Ref) string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Name)
	}
	return strings.Join(out, " ")
}

func statuses(t *testing.T, s Store) string {
	t.Helper()
	history, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range history {
		out = append(out, fmt.Sprintf("%d %s", r.Revision, r.Status))
	}
	return strings.Join(out, ", ")
}

func TestRelease(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if past, err := s.Past(t.Context()); err != nil || past.Latest.Revision != 0 || past.Releases != nil {
		t.Errorf("before the first release: %+v, %v", past, err)
	}
	lock, err := s.Lock(t.Context(), Holder{Who: "ada"}, Release{})
	if err != nil {
		t.Fatal(err)
	}
	code := int32(3)
	r, err := s.Begin(t.Context(), pastOf(t, s), Release{
		Commit: "3f9c2e1", Tag: "sha-3f9c2e1", Who: "ada", Message: "with hunter22", Objects: objects(t, "a", "b"),
		Images: []image.Pin{{Name: "shop", Repository: "ghcr.io/acme/shop", Digest: "sha256:1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses(t, s); got != "1 pending" {
		t.Errorf("history while it is deployed: %s", got)
	}
	r.Status, r.Failure = Failed, "password hunter22 was refused"
	r.Evidence = []rollout.Evidence{{Reason: "CrashLoopBackOff", Cause: "it crashes", ExitCode: &code}}
	if r, err = s.Finish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}

	got, err := s.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Objects.Digest() != r.Digest || got.Digest != r.Digest || r.Digest != objects(t, "b", "a").Digest() {
		t.Error("the objects came back as others")
	}
	if o := got.Objects.Objects()[0]; o.Origin.File != "k8s/a.yaml" ||
		o.At("stringData", "password") != "hunter22" {
		t.Errorf("origin %s, body %v", o.Origin, o.Body)
	}
	r.Objects, got.Objects = object.Set{}, object.Set{}
	if diff := cmp.Diff(r, got, cmp.AllowUnexported(Release{}, object.Set{}, later{})); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Get(t.Context(), 2); !errors.Is(err, ErrNone) {
		t.Errorf("a revision that never was: %v", err)
	}
}

// A Secret's value lies in the record, for rollback, and shows nowhere.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r, err := s.Begin(t.Context(), pastOf(t, s), Release{Message: "with hunter22", Objects: objects(t, "a")})
	if err != nil {
		t.Fatal(err)
	}
	r.Failure = "password hunter22 was refused"
	r = finish(t, s, r, Failed)
	history, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal([]any{r, history})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(data), fmt.Sprint(r), fmt.Sprintf("%+v", history)} {
		if strings.Contains(text, "hunter22") {
			t.Errorf("the secret shows: %s", text)
		}
	}
}

// What was applied once stays ours until a release without it is healthy.
func TestOwned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	owns := func(r Release, want string) {
		t.Helper()
		if got := names(r.Owned); got != want {
			t.Errorf("%s owns %q, want %q", r, got, want)
		}
		past, err := s.Past(t.Context())
		if err != nil || names(past.Latest.Owned) != want {
			t.Errorf("%s: the record says %q, want %q (%v)", r, names(past.Latest.Owned), want, err)
		}
	}
	r := begin(t, s, "a", "b")
	owns(finish(t, s, r, Healthy), "a b")
	r = begin(t, s, "b", "c")
	owns(r, "a b c")
	owns(finish(t, s, r, Failed), "a b c")
	r = begin(t, s, "d") // and interrupted
	owns(r, "a b c d")
	r = begin(t, s, "b")
	owns(r, "a b c d")
	r.Kept = objects(t, "c").Refs()
	owns(finish(t, s, r, Healthy), "b c")
	if got := statuses(t, s); got != "4 healthy, 3 interrupted, 2 failed, 1 healthy" {
		t.Error(got)
	}
	r = begin(t, s)
	owns(r, "b c")
	owns(finish(t, s, r, Deleted), "")
}

func TestAbandoned(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	finish(t, s, begin(t, s, "a"), Healthy)
	finish(t, s, begin(t, s, "b"), Failed)
	begin(t, s, "c")
	if got := statuses(t, s); got != "3 interrupted, 2 failed, 1 healthy" {
		t.Errorf("without a lock: %s", got)
	}
	if past, err := s.Past(t.Context()); err != nil || past.Latest.Status != Interrupted {
		t.Errorf("%v, %v", past.Latest, err)
	}
}

// Only the newest release can be pending.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	begin(t, s, "a")
	lock, err := s.Lock(t.Context(), Holder{Who: "ada"}, Release{})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, s, "a")
	if got := statuses(t, s); got != "2 pending, 1 interrupted" {
		t.Error(got)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := statuses(t, s); got != "2 interrupted, 1 interrupted" {
		t.Error(got)
	}
}

// Ten records stay, and the last healthy one and the last that stayed healthy whatever their age.
func TestForget(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range 3 {
		finish(t, s, begin(t, s, "a"), Healthy)
	}
	bad := begin(t, s, "b")
	bad.Found = &Found{Revision: 3, Message: "Deployment prod/api: 0 of 1 ready"}
	finish(t, s, bad, Failed)
	for range 9 {
		finish(t, s, begin(t, s, "b"), Failed)
	}
	history, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(history); n != kept+2 || history[n-1].Revision != 2 || history[n-2].Revision != 3 {
		t.Error(statuses(t, s))
	}
	if r, err := s.Get(t.Context(), 2); err != nil || r.Status != Healthy {
		t.Errorf("%v, %v", r, err)
	}
	other := Store{Cluster: s.Cluster, Project: "shop", Environment: "staging"}
	if got := statuses(t, other); got != "" {
		t.Errorf("another environment of the namespace: %s", got)
	}
}

// Of two that begin at once, one is told.
func TestBeginTwice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := begin(t, s, "a")
	copied := r
	finish(t, s, r, Healthy)
	copied.Status = Failed
	if _, err := s.Finish(t.Context(), copied); !errors.Is(err, cluster.ErrChanged) {
		t.Errorf("an outdated end was written: %v", err)
	}
}

func TestSafe(t *testing.T) {
	for _, name := range []string{"shop", "my-shop-2"} {
		if got := safe(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	seen := map[string]string{}
	for _, name := range []string{"Shop", "shop_", "a/b", "a.b", "", "-", strings.Repeat("x", 41),
		strings.Repeat("x", 42), "shop"} {
		got := safe(name)
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are both %q", name, other, got)
		}
		seen[got] = name
		if len(got) > 60 || unfit.MatchString(got) || strings.Trim(got, "-") != got || got == "" {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// A release that the new one finds down is not the last that stayed healthy.
func TestForgetFindsDown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	finish(t, s, begin(t, s, "a"), Healthy)
	for range 9 {
		finish(t, s, begin(t, s, "b"), Failed)
	}
	finish(t, s, begin(t, s, "c"), Healthy)
	_, err := s.Begin(t.Context(), pastOf(t, s), Release{Objects: objects(t, "d"),
		Found: &Found{Revision: 11, Message: "Deployment prod/api: 0 of 1 ready"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(t.Context(), 1); err != nil || r.Status != Healthy {
		t.Errorf("the last release that stayed healthy is gone: %v", err)
	}
}

// A move of the records that was interrupted loses none: the next deploy continues it.
func TestInterruptedMove(t *testing.T) {
	t.Parallel()
	old := newStore(t)
	for range 3 {
		past, err := old.Past(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := old.Begin(t.Context(), past, Release{Commit: "c"})
		if err != nil {
			t.Fatal(err)
		}
		r.Status = Healthy
		if _, err := old.Finish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	s := old
	s.Environment = "renamed"
	s.IsFormer = func(_ context.Context, r Release) bool { return r.Owner() == old.Project+"/"+old.Environment }
	half, err := old.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	half.Former, half.Environment, half.version = []string{half.Owner()}, s.Environment, ""
	if _, err := s.write(t.Context(), half); err != nil {
		t.Fatal(err)
	}
	past, err := s.Past(t.Context())
	if err != nil || past.Latest.Revision != 3 || len(past.Releases) != 3 {
		t.Fatalf("half-way: %d releases, the newest %d, %v", len(past.Releases), past.Latest.Revision, err)
	}
	r, err := s.Begin(t.Context(), past, Release{Commit: "d"})
	if err != nil || r.Revision != 4 {
		t.Fatalf("the next release: %v, %v", r, err)
	}
	if left, err := old.History(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left under the former name: %v, %v", left, err)
	}
	s.IsFormer = nil
	if all, err := s.History(t.Context()); err != nil || len(all) != 4 {
		t.Errorf("under the new name: %v, %v", all, err)
	}
}

func TestContentText(t *testing.T) {
	for want, rel := range map[string]Release{
		"":                                   {Commit: "3f9c2e1"},
		"rollback to release 3":              {RollbackOf: 3, Override: &Override{From: "staging"}},
		"drift reverted to release 3":        {RollbackOf: 3, Revert: true},
		"images of staging without a commit": {Override: &Override{From: "staging"}},
	} {
		if got := rel.ContentText(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTags(t *testing.T) {
	rel := Release{Tag: "sha-1", Images: []image.Pin{{Tag: "v2"}, {Tag: "v1"}, {Tag: "v2"}, {}}}
	if got := strings.Join(rel.Tags(), " "); got != "v2 v1" {
		t.Errorf("of images: %q", got)
	}
	rel.Images = nil
	if got := strings.Join(rel.Tags(), " "); got != "sha-1" {
		t.Errorf("of the source: %q", got)
	}
}
