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

// Failure is an error of a registry, and of one of its repositories where that is known.
type Failure struct {
	Registry, Repository string
	Err                  error
}

func (f Failure) Unwrap() error { return f.Err }

// UnauthorizedError says that a registry refuses access.
type UnauthorizedError struct{ Failure }

func (e *UnauthorizedError) Error() string {
	var answer *transport.Error
	if errors.As(e.Err, &answer) && len(answer.Errors) == 0 {
		return fmt.Sprintf("registry %s refuses access to %s: %d %s", e.Registry, e.Repository, answer.StatusCode,
			http.StatusText(answer.StatusCode))
	}
	return fmt.Sprintf("registry %s refuses access to %s: %v", e.Registry, e.Repository, e.Err)
}

// UnreachableError says that a registry does not answer, or not as a registry.
type UnreachableError struct{ Failure }

func (e *UnreachableError) Error() string {
	why := e.Err.Error()
	// A registry on loopback is asked twice, with TLS and without: show two equal errors once.
	if first, second, ok := strings.Cut(why, "; Get "); ok {
		_, a, _ := strings.Cut(first, "\": ")
		if _, b, _ := strings.Cut(second, "\": "); a == b {
			why = a
		}
	}
	return fmt.Sprintf("registry %s does not answer for %s: %s", e.Registry, e.Repository, why)
}

// TagTakenError says that a tag already names other content.
type TagTakenError struct {
	Repository, Tag  string
	Existing, Digest string
}

func (e *TagTakenError) Error() string {
	return fmt.Sprintf("%s:%s already exists as %s, not %s: tags are never overwritten", e.Repository,
		e.Tag, e.Existing, e.Digest)
}

// store reaches registries through a client, or the mirror instead of all of them.
type store struct {
	*Client
	mirror   string
	transfer func(Transfer)
}

func (o Options) store() store {
	client := o.Client
	if client == nil {
		client = NewClient(o.Notify)
	}
	return store{Client: client, mirror: o.Mirror, transfer: o.Transfer}
}

// PlainHTTPError refuses to reach a registry on another machine without TLS.
type PlainHTTPError struct{ Registry string }

func (e *PlainHTTPError) Error() string {
	return fmt.Sprintf("registry %s is on another machine: plain HTTP is allowed for this machine only",
		e.Registry)
}

// onlyTLS refuses plain HTTP to other machines: in private networks go-containerregistry falls back to it,
// and sends passwords.
type onlyTLS struct{ next http.RoundTripper }

func (t onlyTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !builder.PlainHTTP(r.URL.Host) {
		return nil, &PlainHTTPError{Registry: r.URL.Host}
	}
	return t.next.RoundTrip(r)
}

// conn writes larger pieces than the 32 kB of io.Copy, which takes fewer system calls.
type conn struct{ net.Conn }

func (c conn) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{c.Conn}, r, make([]byte, pieceSize))
}

const pieceSize = 1 << 20

// locate returns where a repository is reached: at the mirror with the same path, where there is one.
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

// find returns the digest of a pin in a repository; empty where the repository does not have it.
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

// reference returns the reference of a pin in a repository, by digest where the pin has one.
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

// mayPush checks the permission to push before a build: errors of BuildKit's own push are untyped.
func (s store) mayPush(ctx context.Context, p Pin) error {
	ref, err := s.reference(p.Repository, p)
	if err != nil {
		return err
	}
	bound := roundTrip(func(r *http.Request) (*http.Response, error) {
		return s.transport.RoundTrip(r.WithContext(ctx))
	})
	return explain(p.Repository, ref.Context(), remote.CheckPushPermission(ref, logins{ctx}, bound))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// mayTag fails with a *TagTakenError where the pin's tag names other content. there tells whether the
// repository already has the pin.
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

// target is the reference that a pin's content is pushed to: its tag, or its digest where it has no tag.
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
