package cluster

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// Notice is an Event of Kubernetes: something that happened to an object.
type Notice struct {
	About object.Ref
	// Reason is one word in CamelCase, Note a sentence.
	Reason, Note string
	Warning      bool
	// By names the process.
	By string
}

// The API server refuses Events with longer texts.
const (
	maxNote     = 1024
	maxInstance = 128
)

// WriteEvent writes an Event (events.k8s.io/v1) into the namespace of the object that it is about.
func WriteEvent(ctx context.Context, c *Cluster, n Notice) error {
	kind := corev1.EventTypeNormal
	if n.Warning {
		kind = corev1.EventTypeWarning
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: n.About.Name + "-", Namespace: n.About.Namespace},
		EventTime:  metav1.NewMicroTime(time.Now()), ReportingController: "slipway.dev/agent",
		ReportingInstance: cut(n.By, maxInstance), Action: n.Reason, Reason: n.Reason, Type: kind,
		Note: cut(n.Note, maxNote),
		Regarding: corev1.ObjectReference{
			APIVersion: n.About.Group + "/v1", Kind: n.About.Kind, Namespace: n.About.Namespace, Name: n.About.Name,
		},
	}
	_, err := c.typed.EventsV1().Events(n.About.Namespace).Create(ctx, event,
		metav1.CreateOptions{FieldManager: Manager})
	return c.Explain(ctx, "create an Event about", n.About, err)
}

// cut shortens a text to a number of bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:n-len(dots)], "") + dots
}
