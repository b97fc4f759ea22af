package promote

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
)

// Standing is how an environment stands, with what its gates say; Gates is nil where it has none.
type Standing struct {
	deploy.Standing
	Gates *Decision `json:"gates,omitempty"`
}

// lookTime limits how long the gates of one environment are looked at.
const lookTime = 20 * time.Second

// Board is deploy.Board with the gates of each environment, which are read by an access; nil: by Here. It
// writes nothing.
func Board(
	ctx context.Context, src project.Source, connect func(project.Environment) (deploy.Target, error),
	access func(deploy.Target) Access,
) []Standing {
	if access == nil {
		access = func(t deploy.Target) Access { return Here(t, connect) }
	}
	all := make([]Standing, len(src.Project.Environments))
	var work sync.WaitGroup
	for i, env := range src.Project.Environments {
		if env.Gates != nil {
			work.Go(func() { all[i].Gates = look(ctx, src, env, connect, access) })
		}
	}
	for i, s := range deploy.Board(ctx, src, connect) {
		all[i].Standing = s
	}
	work.Wait()
	for i := range all {
		if all[i].Gates != nil {
			all[i].Gates.Current = all[i].runs(all[i].Gates.Proof.Images)
		}
	}
	return all
}

// look decides on the gates of an environment without promoting anything.
func look(
	ctx context.Context, src project.Source, env project.Environment,
	connect func(project.Environment) (deploy.Target, error), access func(deploy.Target) Access,
) *Decision {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	failed := func(err error) *Decision {
		return &Decision{Environment: env.Name, From: env.Gates.From, Error: err.Error()}
	}
	from, err := src.Project.Environment(env.Gates.From)
	if err != nil {
		return failed(err)
	}
	t, err := connect(env)
	if err != nil {
		return failed(err)
	}
	past, err := t.Records().Past(ctx)
	if err != nil {
		return failed(fmt.Errorf("read the quarantine of %s: %w", env.Name, err))
	}
	a := access(t)
	a.Held, a.Looks = &past, true
	d, err := Decide(ctx, t, from, a)
	if err != nil {
		return failed(err)
	}
	return &d
}

// runs says whether the newest release has these images, and there are some.
func (s Standing) runs(pins []image.Pin) bool {
	if s.Release == nil || len(pins) == 0 {
		return false
	}
	for _, pin := range pins {
		has := slices.ContainsFunc(s.Release.Images, func(is image.Pin) bool { return sameDigest(is, pin) })
		if !has || pin.Digest == "" {
			return false
		}
	}
	return true
}
