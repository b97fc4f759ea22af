package web

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// markup stands in every text that people, the cluster or logs may have written.
const markup = `<img src=x onerror="alert(1)">`

var (
	noon  = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	webOf = object.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop-prod", Name: "web"}
	code3 = int32(3)

	everything, anonymous = Rights{See: true, Values: true, Logs: true, Act: true}, Rights{See: true}
)

// failed is a release with evidence.
var failed = release.Release{
	Project: "shop", Environment: "prod", Revision: 2, Status: release.Failed, Commit: strings.Repeat("b", 40),
	Tag: "sha-bbbbbbb", Who: "Ada " + markup, Message: "why " + markup, Failure: "it failed " + markup,
	Started:  noon,
	Finished: noon.Add(9 * time.Second), Images: []image.Pin{{Name: "web", Repository: "ghcr.io/acme/web",
		Tag: "sha-bbbbbbb", Digest: "sha256:" + strings.Repeat("1", 64)}},
	Quarantine: &release.Quarantine{Since: noon, Reason: "bad " + markup, Who: "Bob " + markup},
	Evidence: []rollout.Evidence{{Ref: webOf, Pod: "web-1", Container: "web", Reason: "CrashLoopBackOff",
		Message: "back-off " + markup, ExitCode: &code3, Restarts: 2, LogLines: []string{"panic: " + markup},
		Events: []string{"BackOff: " + markup}, Cause: "it exits " + markup, Notes: []string{"note " + markup},
		Field: "spec.template", Origin: object.Origin{File: "k8s/web.yaml", Line: 3}}},
}

var drifted = deploy.Drift{Environment: "prod", Release: 2, Changed: []deploy.Drifted{{
	Ref: webOf, What: deploy.Changed, Fields: []deploy.DriftedField{
		{Path: "spec.replicas", Recorded: int64(2), Live: int64(7), By: &plan.Holder{Manager: markup, Time: noon}},
		{Path: "metadata.annotations.note", Recorded: "a", Live: markup},
	}}}}

// goldenPages are pages as their handlers make them, without a cluster.
func goldenPages(s *Site) map[string]struct {
	page string
	may  Rights
	view view
} {
	src := project.Source{Project: project.Project{Name: "shop", Environments: []project.Environment{
		{Name: "staging", Class: project.Staging}, {Name: "prod", Class: project.Production}}},
		Commit: strings.Repeat("c", 40), Remote: "git@github.com:acme/shop.git"}
	at := place{Project: "shop", Environment: "prod", Class: "production", Forge: forgeOf(src.Remote),
		Commit: failed.Commit}
	board := func(may Rights) view {
		healthy := failed
		healthy.Revision, healthy.Status = 1, release.Healthy
		return view{Title: "shop", Page: boardPage{Projects: []boardProject{{Name: "shop", Source: src,
			Forge: at.Forge, Compares: true, Promotes: true, Columns: []column{
				{May: may, Errors: 1, Warnings: 2, Standing: promote.Standing{Standing: deploy.Standing{
					Environment: "staging", Class: project.Staging, Release: &healthy, Healthy: true, Health: "healthy",
					Running: []deploy.Running{{Image: "web", Digest: healthy.Images[0].Digest, Commit: healthy.Commit,
						Subject: markup}}, Notes: []string{"note " + markup}}}},
				{May: may, More: 1, Unchecked: "running …", Standing: promote.Standing{Standing: deploy.Standing{
					Environment: "prod", Class: project.Production, Release: &failed, Health: "failed " + markup,
					Drift: &drifted, Behind: &deploy.Lag{Environment: "staging", Commits: 2, Waiting: []git.Commit{
						{Hash: src.Commit, Subject: markup, Author: markup, Time: noon}}},
					Pauses: release.Pauses{{Since: noon, Reason: markup, Who: markup}}}, Gates: &promote.Decision{
					Gates: []promote.Gate{{Name: "soak", Why: "wait " + markup, Since: noon}}}}},
			}}}}}
	}
	environment := viewOf(src, "prod", "", environmentPage{place: at, Release: failed, Why: true, Problems: 1,
		Drift: answer[deploy.Drift]{Value: drifted, At: noon}, Health: answer[[]rollout.Standing]{At: noon},
		Fields:  func() []driftRow { rows, _ := driftRows(drifted); return rows }(),
		Objects: pager{To: 1, Count: 1, Page: 1, Pages: 1}, Query: markup,
		Rows: []row{{Standing: rollout.Standing{Ref: webOf, Blocking: true, Health: object.Health{
			Status: object.Failed, Message: "crashes " + markup}}, Group: "Deployment web", Logs: true, Drifted: 2,
			Origin: object.Origin{File: "k8s/web.yaml", Line: 3}}}})
	releaseView := viewOf(src, "prod", "history", releasePage{place: at, Release: failed, Before: 1,
		Newest: true,
		Events: moments(failed, []release.Release{failed}), Changes: []plan.Change{{Ref: webOf, Action: plan.Update,
			Fields: []plan.Field{{Path: "spec.replicas", Before: int64(1), After: int64(2)},
				{Path: "metadata.annotations.note", Before: markup, After: nil}}}}})
	history := viewOf(src, "prod", "history", historyPage{place: at, Releases: []release.Release{failed},
		Statuses: []release.Status{release.Failed}, Query: markup, Notes: []string{markup}})
	undo := planPage{place: at, Act: act{Name: "undo", Title: "Roll back", Verb: "Roll back", Reason: true},
		Summary: deploy.Summary{From: "sha-b", To: "sha-a", Remarks: []string{markup}, Takes: []git.Commit{
			{Hash: failed.Commit, Subject: markup, Author: markup, Time: noon}}},
		Stages: []planStage{{Changes: []plan.Change{{Ref: webOf, Action: plan.Update, Fields: []plan.Field{
			{Path: "spec.replicas", Before: int64(2), After: int64(1)}}}}}}, Approvable: true, Holds: 2,
		Given: markup, After: "Then the agent reverts the commit on main, in your name.", Same: 3}
	promotion := promotionPage{place: at, Required: 2, MayApprove: true, Given: markup, Offer: promote.Offer{
		ID: "sha256:" + strings.Repeat("2", 64), Environment: "prod", From: "staging", Way: promote.Push,
		Ways:  []string{promote.Push, promote.PullRequest},
		Lines: []finding.Line{{File: "k8s/" + markup, Line: 6, Before: markup, After: markup}},
		Notes: []string{markup},
		Images: []promote.OfferedImage{{Before: image.Pin{Name: "web", Tag: markup}, After: failed.Images[0],
			Commits: []git.Commit{{Hash: src.Commit, Subject: markup, Author: markup, Time: noon}}}},
		Decision: promote.Decision{Approver: "ada", Approvals: []release.Approval{
			{Who: "ada", Time: noon, Reason: markup}, {Who: markup, Time: noon}}},
	}, Gates: []gateRow{{Text: "shut: " + markup, Shut: true, Since: noon}}}
	return map[string]struct {
		page string
		may  Rights
		view view
	}{
		"promote":               {"promote", everything, viewOf(src, "prod", "promote", promotion)},
		"board":                 {"board", everything, board(everything)},
		"board-anonymous":       {"board", anonymous, board(anonymous)},
		"environment":           {"environment", everything, environment},
		"environment-anonymous": {"environment", anonymous, environment},
		"release":               {"release", everything, releaseView},
		"release-anonymous":     {"release", anonymous, releaseView},
		"history-anonymous":     {"history", anonymous, history},
		"undo":                  {"plan", everything, viewOf(src, "prod", "undo", undo)},
		"error": {"error", Rights{}, view{Title: "error", Page: &fault{"cannot " + markup,
			"Run " + markup}}},
	}
}

// forbidden is what an anonymous reader must not be shown.
var forbidden = regexp.MustCompile(`panic:|→</span> 7|Sign out|href="[^"]*/(logs|object|plan|undo|adopt|promote)`)

var ages = regexp.MustCompile(`(<time class="age"[^>]*>)[^<]*`)

// TestGolden compares pages with testdata/golden. UPDATE=1 writes them: read the difference.
func TestGolden(t *testing.T) {
	s, err := New(t.Context(), Options{Login: "/login"})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range goldenPages(s) {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			if p.may.Act {
				r = WithPerson(r, Person{Name: "ada@example.com"})
			}
			r = r.WithContext(context.WithValue(r.Context(), rightsKey{}, p.may))
			w := httptest.NewRecorder()
			s.show(w, r, 200, p.page, p.view)
			got := ages.ReplaceAllString(w.Body.String(), "${1}some time")
			if strings.Contains(got, "<img") {
				t.Error("markup was not escaped")
			}
			file := filepath.Join("testdata", "golden", name+".html")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (UPDATE=1 writes it): %s", file, diff)
			}
			if shown := forbidden.FindString(got); shown != "" && !p.may.Logs {
				t.Errorf("an anonymous reader is shown %q", shown)
			}
		})
	}
}
