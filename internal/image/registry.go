package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/internal/image/builder"
)

// Failure is what went wrong at a registry, about one of its repositories where that is known.
type Failure struct {
	Registry, Repository string
	Err                  error
}

func (f Failure) Unwrap() error { return f.Err }

// UnauthorizedError says that a registry does not let us do what we must.
type UnauthorizedError struct{ Failure }

func (e *UnauthorizedError) Error() string {
	var answer *transport.Error
	if errors.As(e.Err, &answer) && len(answer.Errors) == 0 {
		return fmt.Sprintf("registry %s refuses access to %s: %d %s", e.Registry, e.Repository, answer.StatusCode,
			http.StatusText(answer.StatusCode))
	}
	return fmt.Sprintf("registry %s refuses access to %s: %v", e.Registry, e.Repository, e.Err)
}

// UnreachableError says that a registry does not answer as one.
type UnreachableError struct{ Failure }

func (e *UnreachableError) Error() string {
	why := e.Err.Error()
	// A registry on loopback is asked twice, with TLS and without: two answers that are the same are one.
	if first, second, ok := strings.Cut(why, "; Get "); ok {
		_, a, _ := strings.Cut(first, "\": ")
		if _, b, _ := strings.Cut(second, "\": "); a == b {
			why = a
		}
	}
	return fmt.Sprintf("registry %s does not answer for %s: %s", e.Registry, e.Repository, why)
}

// TagTakenError says that a tag already names other content. Tags never move.
type TagTakenError struct {
	Repository, Tag  string
	Existing, Digest string
}

func (e *TagTakenError) Error() string {
	return fmt.Sprintf("%s:%s is already %s in the registry, not %s: tags are never overwritten", e.Repository,
		e.Tag, e.Existing, e.Digest)
}

// store reaches registries through a client, all of them at the mirror where there is one.
type store struct {
	*Client
	mirror string
}

func (o Options) store() store {
	client := o.Client
	if client == nil {
		client = NewClient(o.Notify)
	}
	return store{Client: client, mirror: o.Mirror}
}

// PlainHTTPError says that a registry of another machine would be spoken to without TLS.
type PlainHTTPError struct{ Registry string }

func (e *PlainHTTPError) Error() string {
	return fmt.Sprintf("registry %s is on another machine, and plain HTTP is for this one alone", e.Registry)
}

// onlyTLS refuses plain HTTP but on this machine: go-containerregistry falls back to it in private
// networks, passwords included.
type onlyTLS struct{ next http.RoundTripper }

func (t onlyTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !builder.PlainHTTP(r.URL.Host) {
		return nil, &PlainHTTPError{Registry: r.URL.Host}
	}
	return t.next.RoundTrip(r)
}

// conn sends what it reads elsewhere in larger pieces than the 32 kB of io.Copy: fewer system calls.
type conn struct{ net.Conn }

func (c conn) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{c.Conn}, r, make([]byte, pieceSize))
}

const pieceSize = 1 << 20

// locate is where a repository is really reached: a sandbox's registry answers for every host, with
// the path kept.
func locate(repository, mirror string) (name.Repository, error) {
	r, err := name.NewRepository(repository)
	if err != nil {
		return r, fmt.Errorf("image name: %w", err)
	}
	if mirror != "" {
		if r, err = name.NewRepository(mirror + "/" + r.RepositoryStr()); err != nil {
			return r, fmt.Errorf("registry mirror: %w", err)
		}
	}
	if builder.PlainHTTP(r.RegistryStr()) {
		return name.NewRepository(r.Name(), name.Insecure)
	}
	return r, nil
}

// find gives the digest of what a pin names in a repository, empty where it is not there.
func (s store) find(ctx context.Context, repository string, p Pin) (string, error) {
	ref, err := s.reference(repository, p)
	if err != nil {
		return "", err
	}
	desc, err := s.puller.Head(ctx, ref)
	if notFound(err) {
		return "", nil
	}
	if err != nil {
		return "", explain(repository, ref.Context(), err)
	}
	return desc.Digest.String(), nil
}

// reference names a pin's content in a repository, by digest where it has one.
func (s store) reference(repository string, p Pin) (name.Reference, error) {
	r, err := locate(repository, s.mirror)
	if err != nil {
		return nil, err
	}
	if p.Digest != "" {
		if _, err := v1.NewHash(p.Digest); err != nil {
			return nil, fmt.Errorf("image %s: %w", p.Reference(), err)
		}
		return r.Digest(p.Digest), nil
	}
	if _, err := name.NewTag(r.Name() + ":" + p.Tag); err != nil {
		return nil, fmt.Errorf("image %s: %w", p.Reference(), err)
	}
	return r.Tag(p.Tag), nil
}

// mayPush asks before a build whether its result will be taken. Of BuildKit's own push only text comes back.
func (s store) mayPush(ctx context.Context, p Pin) error {
	ref, err := s.reference(p.Repository, p)
	if err != nil {
		return err
	}
	bound := roundTrip(func(r *http.Request) (*http.Response, error) {
		return s.transport.RoundTrip(r.WithContext(ctx))
	})
	return explain(p.Repository, ref.Context(), remote.CheckPushPermission(ref, logins{}, bound))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// mayTag refuses to move a tag, and tells whether the pin's content is there under its name already.
func (s store) mayTag(ctx context.Context, p Pin) (there bool, err error) {
	if p.Tag == "" {
		existing, err := s.find(ctx, p.Repository, p)
		return existing != "", err
	}
	existing, err := s.find(ctx, p.Repository, Pin{Tag: p.Tag})
	if err != nil {
		return false, err
	}
	if existing != "" && existing != p.Digest {
		return false, &TagTakenError{Repository: p.Repository, Tag: p.Tag, Existing: existing, Digest: p.Digest}
	}
	return existing != "", nil
}

// target is what a pin's content is pushed as: its tag, or where it has none its digest.
func (s store) target(p Pin) (name.Reference, error) {
	if p.Tag != "" {
		p.Digest = ""
	}
	return s.reference(p.Repository, p)
}

func notFound(err error) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}
