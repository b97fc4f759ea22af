package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway/internal/object"
)

// maxProxied bounds an answer of a Service.
const maxProxied = 256 << 10

// ProxyGet gets a path of a Service through the API server, once. The service is "NAME:PORT", in the
// namespace of the cluster, or "NAME.NAMESPACE:PORT". Any answer of the Service is a result; an error is
// the API server's. It follows no redirect: the credentials for the API server would go with it.
func ProxyGet(ctx context.Context, c *Cluster, service, path string) (int, []byte, error) {
	host, port, _ := strings.Cut(service, ":")
	name, namespace, given := strings.Cut(host, ".")
	if !given {
		namespace = c.namespace
	}
	at, err := url.Parse(path)
	if err != nil {
		return 0, nil, err
	}
	api, ok := c.typed.CoreV1().RESTClient().(*rest.RESTClient)
	if !ok {
		return 0, nil, errors.New("the client has no connection")
	}
	u := api.Get().Namespace(namespace).Resource("services").Name(name + ":" + port).
		SubResource("proxy").URL()
	u.Path, u.RawQuery = u.Path+at.Path, at.RawQuery // Suffix would cut a slash at the end
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{
		Transport:     api.Client.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProxied))
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s: %w", service, err)
	}
	var status metav1.Status
	isJSON := strings.HasPrefix(response.Header.Get("Content-Type"), "application/json")
	if isJSON && json.Unmarshal(body, &status) == nil && status.Kind == "Status" &&
		status.Status == metav1.StatusFailure {
		ref := object.Ref{Kind: "Service", Namespace: namespace, Name: name}
		return 0, nil, c.Explain(ctx, "proxy to", ref, &apierrors.StatusError{ErrStatus: status})
	}
	return response.StatusCode, body, nil
}
