package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
)

// NoServiceError says that no pod answers for a Service. The API server does not tell whether it exists.
type NoServiceError struct {
	Context string
	Service object.Ref
}

func (e *NoServiceError) Error() string {
	return fmt.Sprintf("%s does not exist, or none of its pods is ready (context %s)", e.Service, e.Context)
}

// AskService gets a path of a Service in the cluster's namespace, through the proxy of the API server, as far
// as the user may "get services/proxy" there. The port is one of the Service's, by name.
func (c *Cluster) AskService(ctx context.Context, service, port, path string) ([]byte, error) {
	answer := c.typed.CoreV1().RESTClient().Get().Namespace(c.namespace).Resource("services").
		Name(service + ":" + port).SubResource("proxy").Suffix(path).Do(ctx)
	text, err := answer.Raw()
	if err != nil {
		err = answer.Error() // with the API server's own words, where it is of the API server
	}
	ref := object.Ref{Kind: "Service", Namespace: c.namespace, Name: service}
	if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) {
		return nil, &NoServiceError{c.context, ref}
	}
	return text, c.Explain(ctx, "ask", ref, err)
}

// isProxied reports whether the answer to a request is not that of the API server.
func isProxied(r *http.Request) bool { return strings.Contains(r.URL.Path, "/proxy/") }
