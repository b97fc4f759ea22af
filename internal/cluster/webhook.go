package cluster

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// WebhookError says that a webhook did not answer, so that the API server refused an object.
type WebhookError struct {
	Ref     object.Ref
	Webhook string
	Err     error
}

func (e *WebhookError) Error() string {
	return fmt.Sprintf("%s: webhook %s does not answer: %v", e.Ref, e.Webhook, e.Err)
}

func (e *WebhookError) Unwrap() error { return e.Err }

// DeniedError says that a webhook or a policy of the cluster denied an object.
type DeniedError struct {
	Ref object.Ref
	// By is "webhook limits.example.com" or "policy limits (binding limits-prod)".
	By string
	// Message is what the webhook or the policy says; empty where it says nothing.
	Message string
	Err     error
}

func (e *DeniedError) Error() string {
	text := fmt.Sprintf("%s: %s denies it", e.Ref, e.By)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

func (e *DeniedError) Unwrap() error { return e.Err }

var (
	// noAnswer matches how the API server reports a webhook that cannot be reached. A webhook that answers, and
	// refuses, reads otherwise.
	noAnswer = lazyregexp.New(`failed calling webhook "([^"]+)"|conversion webhook for ([^,]+), .* failed`)

	webhookDenied = lazyregexp.New(`(?s)admission webhook "([^"]+)" denied the request(?:: (.*)| without)`)
	policyDenied  = lazyregexp.New(
		`(?s)ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request: (.*)`)
)

// admission turns the refusal of a webhook or a policy into a *DeniedError, and a refusal because a webhook
// does not answer into a *WebhookError. It returns any other error unchanged.
func admission(ref object.Ref, err error) error {
	if _, ok := errors.AsType[*DeniedError](err); ok {
		return err
	}
	if _, served := errors.AsType[*apierrors.StatusError](err); !served {
		return err
	}
	if by, message, ok := Denial(err.Error()); ok {
		return &DeniedError{Ref: ref, By: by, Message: message, Err: err}
	}
	return webhookDown(ref, err)
}

// Denial takes apart how the API server, or an event, says that a webhook or a policy denied an object: by is
// that of a DeniedError.
func Denial(text string) (by, message string, ok bool) {
	if m := webhookDenied().FindStringSubmatch(text); m != nil {
		return "webhook " + m[1], m[2], true
	}
	if m := policyDenied().FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("policy %s (binding %s)", m[1], m[2]), m[3], true
	}
	return "", "", false
}

// webhookDown turns a refusal because a webhook does not answer into a *WebhookError. It returns any other
// error unchanged.
func webhookDown(ref object.Ref, err error) error {
	if _, ok := errors.AsType[*WebhookError](err); ok || !apierrors.IsInternalError(err) {
		return err
	}
	m := noAnswer().FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	return &WebhookError{Ref: ref, Webhook: m[1] + m[2], Err: err}
}

// brings says that the desired set has the webhook of a name.
func (s *survey) brings(name string) bool {
	for _, o := range s.desired.Objects() {
		if o.Ref().Group != "admissionregistration.k8s.io" {
			continue
		}
		for _, hook := range object.Mappings(o.At("webhooks")) {
			if hook["name"] == name {
				return true
			}
		}
	}
	return false
}
