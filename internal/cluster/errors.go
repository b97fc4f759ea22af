package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// UnknownContextError says that the kubeconfig has no such context.
type UnknownContextError struct {
	Context string
	Known   []string
}

func (e *UnknownContextError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("the kubeconfig has no context %q: it has none at all", e.Context)
	}
	return fmt.Sprintf("the kubeconfig has no context %q, only %s", e.Context, strings.Join(e.Known, ", "))
}

// UnreachableError says that no API server answered.
type UnreachableError struct {
	Context, Server string
	Err             error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no cluster answers at %s (context %s): %v", e.Server, e.Context, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// UnauthorizedError says that the API server does not accept our credentials.
type UnauthorizedError struct {
	Context, Server, User string
	Err                   error
}

func (e *UnauthorizedError) Error() string {
	return fmt.Sprintf("%s does not accept the credentials of user %q (context %s): %v", e.Server, e.User, e.Context, e.Err)
}

func (e *UnauthorizedError) Unwrap() error { return e.Err }

// Permission is one thing that a user may or may not do.
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

// PermissionError names what we may not do.
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
	// Err is set where the group is known but could not be asked (an extension API that is down).
	Err error
}

func (e *UnknownKindError) Error() string {
	at := ""
	if s := e.Origin.String(); s != "" {
		at = s + ": "
	}
	if e.Err != nil {
		return fmt.Sprintf("%sthe API of %s %s does not answer: %v", at, e.APIVersion, e.Kind, e.Err)
	}
	return fmt.Sprintf("%sthe cluster does not know %s %s (is its CustomResourceDefinition installed?)", at, e.APIVersion, e.Kind)
}

func (e *UnknownKindError) Unwrap() error { return e.Err }

// NoNamespaceError says that a namespace is not there.
type NoNamespaceError struct {
	Context, Namespace string
}

func (e *NoNamespaceError) Error() string {
	return fmt.Sprintf("namespace %s is not there (context %s)", e.Namespace, e.Context)
}

// classify turns what client-go returns for an act into our own errors, and leaves the rest as
// the server said it.
func (c *Cluster) classify(verb string, ref object.Ref, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case apierrors.IsUnauthorized(err):
		return &UnauthorizedError{Context: c.context, Server: c.server, User: c.user, Err: err}
	case apierrors.IsForbidden(err) && deniedByRBAC(err):
		return &PermissionError{Context: c.context, User: c.user, Missing: []Permission{refusal(verb, ref, err)}, Err: err}
	case namespaceMissing(err):
		return &NoNamespaceError{Context: c.context, Namespace: ref.Namespace}
	case noAnswer(err):
		return &UnreachableError{Context: c.context, Server: c.server, Err: err}
	}
	return err
}

// explain is classify with the act and the object said where our own error does not say them.
func (c *Cluster) explain(verb string, ref object.Ref, err error) error {
	err = c.classify(verb, ref, err)
	if err == nil || typed(err) {
		return err
	}
	return fmt.Errorf("%s %s: %w", verb, ref, err)
}

func typed(err error) bool {
	var (
		unauthorized *UnauthorizedError
		permission   *PermissionError
		unreachable  *UnreachableError
		unknown      *UnknownKindError
		conflict     *ConflictError
		namespace    *NoNamespaceError
	)
	return errors.As(err, &unauthorized) || errors.As(err, &permission) || errors.As(err, &unreachable) ||
		errors.As(err, &unknown) || errors.As(err, &conflict) || errors.As(err, &namespace)
}

// hopeless tells errors that every further request would meet too.
func hopeless(err error) bool {
	var (
		unreachable  *UnreachableError
		unauthorized *UnauthorizedError
	)
	return errors.As(err, &unreachable) || errors.As(err, &unauthorized)
}

func namespaceMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return status.Status().Details.Kind == "namespaces"
}

// deniedByRBAC tells a missing permission from a refusal by admission (quota, Pod Security, a
// policy), which has the same code.
func deniedByRBAC(err error) bool {
	text := err.Error()
	return strings.Contains(text, " cannot ") && strings.Contains(text, " resource ")
}

func refusal(verb string, ref object.Ref, err error) Permission {
	p := Permission{Verb: verb, Group: ref.Group, Resource: strings.ToLower(ref.Kind), Namespace: ref.Namespace}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		d := status.Status().Details
		p.Group, p.Resource = d.Group, d.Kind
	}
	return p
}

// noAnswer tells errors of the way to the server from the server's own.
func noAnswer(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Reason == metav1.StatusReasonUnknown && status.Status().Code == 0
	}
	var (
		u *url.Error
		n net.Error
	)
	return errors.As(err, &u) || errors.As(err, &n)
}
