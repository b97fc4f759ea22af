package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/promote"
	"slipway/internal/render/tree"
	"slipway/internal/web"
	"slipway/internal/web/login"
)

// ui is the web UI of an agent. It reads as the agent does, and acts as the person who asks.
type ui struct {
	agent   *Agent
	config  UI
	pages   *web.Site
	rights  rights
	commits *openCommits
}

// newUI prepares the web UI. What runs in it ends with the context.
func newUI(ctx context.Context, a *Agent) (*ui, http.Handler, error) {
	commits := &openCommits{agent: a, open: map[commitKey]*openCommit{}}
	u := &ui{agent: a, config: *a.config.UI, commits: commits}
	inspector := &inspector{agent: a, commits: commits, turn: make(chan struct{}, 1)}
	promotes := uiPromoter{a, commits}
	o, err := u.config.options()
	if err != nil {
		return nil, nil, fmt.Errorf("ui: %w", err)
	}
	if u.config.Tokens == Allow {
		c, err := deploy.ConnectLease(u.config.Context, "", a.options.Connect)
		if err != nil {
			return nil, nil, fmt.Errorf("ui: %w", err)
		}
		o.Review = func(ctx context.Context, token string) (web.Person, error) { return review(ctx, c, token) }
	}
	guard, err := login.New(o)
	if err != nil {
		return nil, nil, fmt.Errorf("ui: %w", err)
	}
	u.pages, err = web.New(ctx, web.Options{
		Sources: commits.sources, Connect: u.connect, Board: u.board, People: u, Login: login.Path,
		AfterUndo: u.afterUndo, Hint: a.options.Hint, Findings: inspector.findings, Why: inspector.explain,
		Compare: inspector.compare, Promotes: promotes, Override: promotes.override,
	})
	if err != nil {
		return nil, nil, err
	}
	return u, u.front(ctx, guard.Handler(u.pages.Handler())), nil
}

// close waits for what runs in the UI, and gives the files of its commits back.
func (u *ui) close() {
	if u == nil {
		return
	}
	u.pages.Wait()
	u.commits.close()
}

// front serves the pages where this replica leads, and passes requests on to the leader elsewhere: a replica
// that stands by reads no repository. Streams last longer than other requests, and end with the agent.
func (u *ui) front(base context.Context, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(base, cancel)()
		r = r.WithContext(ctx)
		leader, leads := u.agent.leadership.current()
		if leads || u.agent.config.Lease == nil {
			pages.ServeHTTP(w, r)
			return
		}
		address := u.agent.leadership.otherReplica()
		if address == "" || r.Header.Get(forwardedHeader) != "" {
			http.Error(w, "this replica stands by: "+leader+" leads, and does not answer",
				http.StatusServiceUnavailable)
			return
		}
		proxy := httputil.ReverseProxy{
			Transport: forwardClient.Transport,
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: address})
				p.Out.Host = p.In.Host // which the origin of forms is compared with
				p.Out.Header.Set(forwardedHeader, "1")
			},
		}
		proxy.ServeHTTP(w, r)
	})
}

// review returns whose bearer token it is.
func review(ctx context.Context, c *cluster.Cluster, token string) (web.Person, error) {
	id, err := cluster.ReviewToken(ctx, c, token)
	switch {
	case errors.Is(err, cluster.ErrToken):
		err = login.ErrToken
	case errors.Is(err, cluster.ErrNoIdentity):
		return web.Person{}, nil // which the guard refuses
	}
	return web.Person{Name: id.User, Groups: id.Groups}, err
}

// connect returns an environment at the commit that it has taken, as the agent itself reaches it.
func (u *ui) connect(src project.Source, env project.Environment) (deploy.Target, error) {
	e, o, err := u.commits.find(u.agent.base, src.Project.Name, env.Name)
	if err != nil {
		return deploy.Target{}, err
	}
	t, err := e.connect(o.source)
	if err != nil {
		return t, err
	}
	t.Isolate = e.isolate(o.files, new([]tree.Read))
	return t, nil
}

// board is that of the CLI, with the gates as the agent looked at them last.
func (u *ui) board(ctx context.Context, src project.Source) []promote.Standing {
	var all []promote.Standing
	for _, s := range deploy.Board(ctx, src, func(env project.Environment) (deploy.Target, error) {
		return u.connect(src, env)
	}) {
		standing := promote.Standing{Standing: s}
		env, err := src.Project.Environment(s.Environment)
		e, _, unread := u.commits.find(ctx, src.Project.Name, s.Environment)
		if err == nil && unread == nil && env.Gates != nil {
			standing.Gates = &promote.Decision{Environment: s.Environment, From: env.Gates.From,
				Gates: e.Status().Gates}
		}
		all = append(all, standing)
	}
	return all
}

// afterUndo says what the agent does with a release that a person has quarantined.
func (u *ui) afterUndo(src project.Source, env project.Environment) string {
	e, _, err := u.commits.find(u.agent.base, src.Project.Name, env.Name)
	switch {
	case err != nil:
		return ""
	case e.policy.WriteBack == Push:
		return "Then the agent reverts the commit on " + e.mirror.Branch + ", in your name."
	case e.policy.WriteBack == PullRequest:
		return "Then the agent proposes to revert the commit on " + e.mirror.Branch + ", in your name."
	}
	return ""
}

// As implements web.People: the agent impersonates the person.
func (u *ui) As(_ context.Context, p web.Person, t deploy.Target) (deploy.Target, error) {
	var err error
	t.Cluster, err = t.Cluster.As(identityOf(p))
	return t, err
}

func identityOf(p web.Person) cluster.Identity {
	return cluster.Identity{User: p.Name, Groups: p.Groups}
}

// Rights implements web.People.
func (u *ui) Rights(ctx context.Context, p web.Person, t deploy.Target) (web.Rights, error) {
	if p.Name == "" {
		return web.Rights{See: u.config.Anonymous == Read}, nil
	}
	return u.rights.of(ctx, identityOf(p), t.Cluster)
}

// needs are what the API server is asked for each right, in the namespace of an environment. ClusterRole view
// has all but the last one, and edit has that, too.
var needs = []struct {
	permission cluster.Permission
	grant      func(*web.Rights)
}{
	{cluster.Permission{Verb: "list", Resource: "pods"}, func(r *web.Rights) { r.See = true }},
	{cluster.Permission{Verb: "get", Resource: "configmaps"}, func(r *web.Rights) { r.Values = true }},
	{cluster.Permission{Verb: "get", Resource: "pods/log"}, func(r *web.Rights) { r.Logs = true }},
	// Each deploy writes its record.
	{cluster.Permission{Verb: "create", Resource: "secrets"}, func(r *web.Rights) { r.Act = true }},
}

// rights are the last answers of API servers.
type rights struct {
	mu  sync.Mutex
	all map[string]knownRights
}

type knownRights struct {
	web.Rights
	at time.Time
}

const (
	// rightsTime is how long an answer holds: a page asks for the same several times. What a person does is
	// decided by the API server each time.
	rightsTime = 5 * time.Second
	maxRights  = 10_000
)

func (r *rights) of(ctx context.Context, id cluster.Identity, c *cluster.Cluster) (web.Rights, error) {
	key := strings.Join(append([]string{c.Server(), c.Namespace(), id.User}, id.Groups...), "\x00")
	r.mu.Lock()
	known, ok := r.all[key]
	r.mu.Unlock()
	if ok && time.Since(known.at) < rightsTime {
		return known.Rights, nil
	}
	may, failed := make([]bool, len(needs)), make([]error, len(needs))
	cluster.Each(len(needs), func(i int) {
		p := needs[i].permission
		p.Namespace = c.Namespace()
		may[i], failed[i] = cluster.May(ctx, c, id, p)
	})
	if err := errors.Join(failed...); err != nil {
		return web.Rights{}, err
	}
	var found web.Rights
	for i, n := range needs {
		if may[i] {
			n.grant(&found)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || len(r.all) >= maxRights {
		r.all = map[string]knownRights{}
	}
	r.all[key] = knownRights{found, time.Now()}
	return found, nil
}
