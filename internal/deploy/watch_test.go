package deploy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/rollout"
)

func TestNews(t *testing.T) {
	api := object.Ref{Group: "apps", Kind: "Deployment", Namespace: "prod", Name: "api"}
	web := object.Ref{Group: "apps", Kind: "Deployment", Namespace: "prod", Name: "web"}
	same := object.Ref{Group: "apps", Kind: "Deployment", Namespace: "prod", Name: "same"}
	var got []string
	n := newNews(Target{Notify: func(e Event) { got = append(got, e.Message) }}, []object.Ref{same})
	for _, p := range []rollout.Progress{
		{Ref: same, Status: object.Current, Message: "3 of 3 ready"},
		{Ref: api, Status: object.InProgress, Message: object.Unseen},
		{Ref: api, Status: object.InProgress, Message: "0 of 2 ready"},
		{Ref: web, Status: object.InProgress, Message: "1 of 2 ready"},
		{Ref: same, Status: object.InProgress, Message: "2 of 3 ready"},
		{Ref: same, Status: object.Current, Message: "all of 3 ready"},
	} {
		n.hear(p)
	}
	n.remind(n.began.Add(remindAfter / 2))
	n.remind(n.told.Add(remindAfter))
	n.hear(rollout.Progress{Ref: api, Status: object.Current, Message: "2 of 2 ready"})
	n.hear(rollout.Progress{Ref: web, Status: object.Current, Message: "both ready"})
	n.remind(time.Now().Add(time.Hour))
	want := []string{
		"0 of 2 ready", "1 of 2 ready", "2 of 3 ready", "all of 3 ready",
		"still waiting after 30s for Deployment prod/api (0 of 2 ready), and 1 more",
		"2 of 2 ready", "both ready",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
