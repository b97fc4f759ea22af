package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// RateLimitedError says that a registry refuses further requests for now.
type RateLimitedError struct {
	Registry string
	// Wait is how long the registry asks to wait; 0: it does not say.
	Wait time.Duration
}

func (e *RateLimitedError) Error() string {
	if e.Wait == 0 {
		return fmt.Sprintf("registry %s accepts no more requests for now (429 Too Many Requests)", e.Registry)
	}
	return fmt.Sprintf("registry %s accepts no more requests for the next %s (429 Too Many Requests)",
		e.Registry, e.Wait)
}

// BrokenError says that the connection broke during a response.
type BrokenError struct{ Failure }

func (e *BrokenError) Error() string {
	return fmt.Sprintf("registry %s: connection lost during the response: %v", e.Registry, e.Err)
}

// CorruptError says that content does not match its digest.
type CorruptError struct {
	Failure
	// Upload is set where the content was damaged on its way to the registry.
	Upload bool
}

func (e *CorruptError) Error() string {
	if e.Upload {
		return fmt.Sprintf("upload to %s damaged: registry %s received other content than was sent: %v",
			e.Repository, e.Registry, e.Err)
	}
	return fmt.Sprintf("content of %s in registry %s does not match its digest: %v",
		e.Repository, e.Registry, e.Err)
}

// CredentialsError says that the credentials for a registry could not be read.
type CredentialsError struct{ Failure }

func (e *CredentialsError) Error() string {
	return fmt.Sprintf("credentials for registry %s: %v", e.Registry, e.Err)
}

const (
	// maxWait limits the time that one request waits because the registry asks for it.
	maxWait = time.Minute
	// maxTries limits how often a request is sent that the registry refuses for now.
	maxTries = 4
)

// patient waits as long as a registry asks it to, up to maxWait and not beyond the deadline of the request,
// and reports it. It also names the registry
// in errors while a response is read: in a copy between two registries the error does not say which.
type patient struct {
	next   http.RoundTripper
	notify func(format string, args ...any)
}

func (t *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	waited := time.Duration(0)
	for try := 1; ; try++ {
		resp, err := t.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusTooManyRequests {
			resp.Body = &body{ReadCloser: resp.Body, registry: r.URL.Host}
			return resp, nil
		}
		asked := retryAfter(resp.Header.Get("Retry-After"))
		_ = resp.Body.Close() // the status is enough
		wait := asked
		if wait == 0 {
			wait = time.Second << (try - 1)
		}
		deadline, has := r.Context().Deadline()
		isTooLate := has && time.Until(deadline) < wait
		if waited += wait; waited > maxWait || try == maxTries || isTooLate || r.Body != nil && r.GetBody == nil {
			return nil, &RateLimitedError{Registry: r.URL.Host, Wait: asked}
		}
		t.notify("registry %s accepts no more requests for now: waiting %s", r.URL.Host, wait)
		select {
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		case <-time.After(wait):
		}
		r = r.Clone(r.Context())
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// retryAfter parses the header, which holds seconds or a date; 0 for anything else.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}

// body names the registry in errors while it is read.
type body struct {
	io.ReadCloser
	registry string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !stopped(err) {
		err = &BrokenError{Failure{Registry: b.registry, Err: err}}
	}
	return n, err
}

func stopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isTransient tells whether to retry: after a network error, but not where patient has waited long enough.
func isTransient(err error) bool {
	var answer *transport.Error
	switch {
	case err == nil || stopped(err) || errors.As(err, new(*RateLimitedError)):
		return false
	case errors.As(err, &answer):
		return answer.Temporary()
	}
	return slices.ContainsFunc([]error{io.ErrUnexpectedEOF, io.EOF, syscall.EPIPE, syscall.ECONNRESET,
		net.ErrClosed},
		func(target error) bool { return errors.Is(err, target) })
}

// corruptMessages are the messages of go-containerregistry's untyped errors about content that does not match
// its digest.
var corruptMessages = []string{
	"error verifying ", "does not match requested digest", "does not match expected size",
}

func isCorrupt(err error) bool {
	return slices.ContainsFunc(corruptMessages, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}

// explain turns an error into a typed one that names the registry.
func explain(repository string, r name.Repository, err error) error {
	if err == nil || stopped(err) {
		return err
	}
	var (
		e           *transport.Error
		limited     *RateLimitedError
		broken      *BrokenError
		credentials *CredentialsError
		plain       *PlainHTTPError
	)
	at := Failure{Registry: r.RegistryStr(), Repository: repository, Err: err}
	switch {
	case errors.As(err, &limited):
		return limited
	case errors.As(err, &broken):
		return broken
	case errors.As(err, &credentials):
		return credentials
	case errors.As(err, &plain):
		return plain
	case isCorrupt(err):
		return &CorruptError{Failure: at}
	case !errors.As(err, &e):
		return &UnreachableError{at}
	case e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden:
		return &UnauthorizedError{at}
	case e.StatusCode >= http.StatusInternalServerError:
		return &UnreachableError{at}
	case slices.ContainsFunc(e.Errors, damaged):
		return &CorruptError{Failure: at, Upload: true}
	}
	return fmt.Errorf("registry %s, %s: %w", r.RegistryStr(), repository, err)
}

// damaged tells whether a registry reports that an upload did not arrive as it was sent.
func damaged(d transport.Diagnostic) bool {
	return d.Code == transport.DigestInvalidErrorCode || d.Code == transport.SizeInvalidErrorCode ||
		d.Code == transport.BlobUploadInvalidErrorCode
}
