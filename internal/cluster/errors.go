package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// KubeconfigError says that the kubeconfig could not be read.
type KubeconfigError struct{ Err error }

func (e *KubeconfigError) Error() string { return "read kubeconfig: " + e.Err.Error() }

func (e *KubeconfigError) Unwrap() error { return e.Err }

// UnknownContextError says that the kubeconfig has no such context.
type UnknownContextError struct {
	Context string
	Known   []string
}

func (e *UnknownContextError) Error() string {
	return fmt.Sprintf("the kubeconfig has no context %q", e.Context)
}

// UnreachableError says that the API server did not answer.
type UnreachableError struct {
	Context, Server string
	Err             error
}

func (e *UnreachableError) Error() string {
	err := e.Err
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err // the request's own address only hides what is wrong
	}
	return fmt.Sprintf("the cluster at %s does not answer (context %s): %v", e.Server, e.Context, err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// IsOutage reports whether a request failed because the API server was away, or too busy for too long, and
// not because of what was asked. An internal error is not among them: some objects cause it each time.
func IsOutage(err error) bool {
	if _, silent := errors.AsType[*UnreachableError](err); silent {
		return true
	}
	answer, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && slices.Contains([]int32{http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout}, answer.ErrStatus.Code)
}

// UnauthorizedError says that the API server rejected the credentials.
type UnauthorizedError struct {
	Context, Server, User string
	Err                   error
}

func (e *UnauthorizedError) Error() string {
	return fmt.Sprintf("%s rejects the credentials of user %q (context %s): %v", e.Server, e.User,
		e.Context, e.Err)
}

func (e *UnauthorizedError) Unwrap() error { return e.Err }

// Permission is a verb on a resource.
type Permission struct {
	Verb, Group, Resource, Namespace string
}

// String prints "patch deployments.apps in prod".
func (p Permission) String() string {
	s := p.Verb + " " + p.Resource
	if p.Group != "" {
		s += "." + p.Group
	}
	if p.Namespace != "" {
		s += " in " + p.Namespace
	}
	return s
}

// PermissionError names the permissions that the user lacks.
type PermissionError struct {
	Context, User string
	Missing       []Permission
	Err           error // the server's refusal, when it came from an act and not from asking
}

func (e *PermissionError) Error() string {
	texts := make([]string, len(e.Missing))
	for i, p := range e.Missing {
		texts[i] = p.String()
	}
	return fmt.Sprintf("user %q may not %s (context %s)", e.User, strings.Join(texts, ", nor "), e.Context)
}

func (e *PermissionError) Unwrap() error { return e.Err }

// UnknownKindError says that the API server does not serve a kind.
type UnknownKindError struct {
	APIVersion, Kind string
	Origin           object.Origin
	// Err is set when discovery of the group failed (an extension API that is down).
	Err error
}

func (e *UnknownKindError) Error() string {
	at := ""
	if s := e.Origin.String(); s != "" {
		at = s + ": "
	}
	if e.Err != nil {
		return fmt.Sprintf("%sthe API server of %s %s does not answer: %v", at, e.APIVersion, e.Kind, e.Err)
	}
	return fmt.Sprintf("%sthe cluster does not serve %s %s", at, e.APIVersion, e.Kind)
}

func (e *UnknownKindError) Unwrap() error { return e.Err }

// NoNamespaceError says that a namespace does not exist.
type NoNamespaceError struct {
	Context, Namespace string
}

func (e *NoNamespaceError) Error() string {
	return fmt.Sprintf("namespace %s does not exist (context %s)", e.Namespace, e.Context)
}

// asTyped turns an error of client-go into a typed error of this package where there is one.
func (c *Cluster) asTyped(ctx context.Context, ref object.Ref, err error) error {
	_, served := errors.AsType[*apierrors.StatusError](err)
	denied, isFenced := errors.AsType[*fencedError](err)
	switch {
	case err == nil:
		return nil
	case isFenced:
		return denied.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case apierrors.IsUnauthorized(err):
		return &UnauthorizedError{Context: c.context, Server: c.server, User: c.user, Err: err}
	case isUnserved(err):
		c.served.refresh(ctx, time.Now()) // its definition is gone since
	case isMissingNamespace(err):
		return &NoNamespaceError{Context: c.context, Namespace: ref.Namespace}
	case !served && isUnanswered(err):
		return &UnreachableError{Context: c.context, Server: c.server, Err: err}
	}
	if m := refusal().FindStringSubmatch(err.Error()); m != nil && apierrors.IsForbidden(err) {
		missing := []Permission{{Verb: m[1], Resource: m[2], Group: m[3], Namespace: m[4]}}
		return &PermissionError{Context: c.context, User: c.user, Missing: missing, Err: err}
	}
	return immutable(ref, admission(ref, err))
}

// Explain turns an error of client-go into a typed error of this package, or adds what was done to which
// object.
func (c *Cluster) Explain(ctx context.Context, act string, ref object.Ref, err error) error {
	known := c.asTyped(ctx, ref, err)
	switch err.(type) {
	case nil, *UnknownKindError, *ConflictError:
		return known
	}
	if known != err {
		return known
	}
	return fmt.Errorf("%s %s: %w", act, ref, err)
}

// isFatal says that every other request would fail with the same error.
func isFatal(err error) bool {
	_, unreachable := errors.AsType[*UnreachableError](err)
	_, unauthorized := errors.AsType[*UnauthorizedError](err)
	return unreachable || unauthorized
}

// isUnserved says that the server does not serve a kind, rather than that an object does not exist.
func isUnserved(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && status.ErrStatus.Details != nil &&
		slices.ContainsFunc(status.ErrStatus.Details.Causes, func(c metav1.StatusCause) bool {
			return c.Type == metav1.CauseTypeUnexpectedServerResponse
		})
}

func isMissingNamespace(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && status.ErrStatus.Details != nil &&
		status.ErrStatus.Details.Kind == "namespaces"
}

// refusal matches how RBAC denies a request. Admission (quota, Pod Security, a policy) answers with the same
// code and other words.
var refusal = lazyregexp.New(
	`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)

// isUnanswered says that the request did not reach the server, or the answer did not come back.
func isUnanswered(err error) bool {
	_, u := errors.AsType[*url.Error](err)
	_, n := errors.AsType[net.Error](err)
	return u || n
}
