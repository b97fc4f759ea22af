package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"slipway/internal/deploy"
	"slipway/internal/project"
)

// Person is who sends a request. Without a name it is an anonymous reader.
type Person struct {
	Name   string   `json:"name"`
	Email  string   `json:"email,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// String is how records name the person: "Ada", "ada@example.com" or "Ada <ada@example.com>".
func (p Person) String() string {
	if p.Email == "" || p.Email == p.Name {
		return p.Name
	}
	return fmt.Sprintf("%s <%s>", p.Name, p.Email)
}

// Rights are what a person may do in an environment.
type Rights struct {
	See    bool // that it exists, and how it stands
	Values bool // the fields of its objects, Secrets masked
	Logs   bool
	Act    bool // deploy to it
}

// People says what the persons behind requests may do, and lets them act. The site asks before each page and
// each act, and keeps no answer.
type People interface {
	Rights(ctx context.Context, p Person, t deploy.Target) (Rights, error)
	// As returns the target as the person reaches it. Logs are read and acts are done through it.
	As(ctx context.Context, p Person, t deploy.Target) (deploy.Target, error)
}

// self is the one person of a site on this machine, who has the rights of the kubeconfig.
type self struct{}

func (self) Rights(context.Context, Person, deploy.Target) (Rights, error) {
	return Rights{See: true, Values: true, Logs: true, Act: true}, nil
}

func (self) As(_ context.Context, _ Person, t deploy.Target) (deploy.Target, error) { return t, nil }

type personKey struct{}

// WithPerson returns the request as one of a person.
func WithPerson(r *http.Request, p Person) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), personKey{}, p))
}

// PersonOf returns the person behind a request.
func PersonOf(ctx context.Context) Person {
	p, _ := ctx.Value(personKey{}).(Person)
	return p
}

type rightsKey struct{}

// rightsOf returns what the person may do in the environment of the page.
func rightsOf(ctx context.Context) Rights {
	may, _ := ctx.Value(rightsKey{}).(Rights)
	return may
}

// right is one of the rights, with its name for the person who lacks it.
type right struct {
	name string
	of   func(Rights) bool
}

var (
	toSee    = right{"see the environment", func(r Rights) bool { return r.See }}
	toRead   = right{"read the fields of its objects", func(r Rights) bool { return r.See && r.Values }}
	toFollow = right{"read its logs", func(r Rights) bool { return r.See && r.Logs }}
	toAct    = right{"deploy to it", func(r Rights) bool { return r.See && r.Act }}
)

// DeniedError says that a person lacks a right in an environment.
type DeniedError struct{ Person, Right, Environment string }

func (e *DeniedError) Error() string {
	who := e.Person
	if who == "" {
		who = "an anonymous reader"
	}
	return fmt.Sprintf("environment %s: %s may not %s", e.Environment, who, e.Right)
}

// demand returns the rights of the person behind a request in an environment. It fails with a *DeniedError
// without the one that is needed, and with errNoPage where the person may not even know the environment.
func (s *Site) demand(ctx context.Context, t deploy.Target, needed right) (Rights, error) {
	who := PersonOf(ctx)
	may, err := s.options.People.Rights(ctx, who, t)
	switch {
	case err != nil:
		return Rights{}, err
	case !may.See:
		return Rights{}, fmt.Errorf("environment %s: %w", t.Environment.Name, errNoPage)
	case !needed.of(may):
		return Rights{}, &DeniedError{who.String(), needed.name, t.Environment.Name}
	}
	return may, nil
}

// visible returns a source with those environments that the person behind a request may see, and the rights
// in each. An environment that cannot be asked about stays: its page says why.
func (s *Site) visible(ctx context.Context, src project.Source) (project.Source, map[string]Rights) {
	rights := map[string]Rights{}
	all := src.Project.Environments
	if s.options.People == (self{}) {
		may, _ := self{}.Rights(ctx, Person{}, deploy.Target{})
		for _, env := range all {
			rights[env.Name] = may
		}
		return src, rights
	}
	src.Project.Environments = nil
	for _, env := range all {
		t, err := s.options.Connect(src, env)
		var may Rights
		if err == nil {
			may, err = s.demand(ctx, t, toSee)
		}
		if errors.Is(err, errNoPage) || errors.As(err, new(*project.UnknownEnvironmentError)) {
			continue
		}
		rights[env.Name] = may
		src.Project.Environments = append(src.Project.Environments, env)
	}
	return src, rights
}
