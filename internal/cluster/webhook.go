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

// noAnswer matches how the API server reports a webhook that cannot be reached. A webhook that answers, and
// refuses, reads otherwise.
var noAnswer = lazyregexp.New(`failed calling webhook "([^"]+)"|conversion webhook for ([^,]+), .* failed`)

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
