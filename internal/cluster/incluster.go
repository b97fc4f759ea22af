package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
)

// ServiceAccountDir is the directory that Kubernetes mounts the ServiceAccount of a pod at.
const ServiceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// inClusterContext is the name of the cluster that the process runs in, where others have a kubeconfig
// context.
const inClusterContext = "in-cluster"

// NotInClusterError says that a kubeconfig is missing, and what a pod would have that this process lacks.
type NotInClusterError struct{ Missing string }

func (e *NotInClusterError) Error() string {
	return "no kubeconfig, and not in a pod with a ServiceAccount: " + e.Missing
}

// HasKubeconfig says that a kubeconfig is named, by its path or by KUBECONFIG, or is where kubectl reads it.
func HasKubeconfig(path string) bool {
	if path != "" || os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "" {
		return true
	}
	_, err := os.Stat(clientcmd.RecommendedHomeFile)
	return !errors.Is(err, fs.ErrNotExist)
}

// OpenInCluster prepares the clients for the cluster that the process runs in, as the ServiceAccount that is
// mounted at dir. It reads the token again before it expires, and after the server refused it. It fails with
// a *NotInClusterError where dir or the address of the API server is missing, and sends nothing over the
// network. Of the options, it reads all but Kubeconfig and Context. Without a Namespace, it is that of the
// pod.
func OpenInCluster(dir string, o Options) (*Cluster, error) {
	quiet()
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, &NotInClusterError{"KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set"}
	}
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	var authority string
	for _, file := range []string{token, ca} {
		text, err := os.ReadFile(file)
		authority = string(text)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &NotInClusterError{file + " does not exist (automountServiceAccountToken may be false)"}
		case err != nil:
			return nil, &NotInClusterError{err.Error()}
		case len(text) == 0:
			return nil, &NotInClusterError{file + " is empty"}
		}
	}
	own, err := PodNamespace(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		context: inClusterContext, user: "the ServiceAccount of the pod", namespace: cmp.Or(o.Namespace, own),
		opened: time.Now(),
	}
	cfg := &rest.Config{
		Host: "https://" + net.JoinHostPort(host, port), TLSClientConfig: rest.TLSClientConfig{CAFile: ca},
	}
	// BearerTokenFile would use a token for up to a minute after the server has refused it.
	cfg.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(token)))
	if err := connect(c, cfg, o, []string{cfg.Host, dir, authority}); err != nil {
		return nil, fmt.Errorf("the cluster of the pod: %w", err)
	}
	return c, nil
}

// PodNamespace returns the namespace of the pod whose ServiceAccount is mounted at dir.
func PodNamespace(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "namespace"))
	if err != nil {
		return "", &NotInClusterError{err.Error()}
	}
	return string(text), nil
}
