package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
)

const (
	// LocalAddress is where the examples have an agent listen that runs outside a cluster.
	LocalAddress = "127.0.0.1:9090"
	// installedIn is the namespace where "agent install" puts it.
	installedIn = "slipway"

	statusTime = 10 * time.Second
)

// Asked is the agent that StatusOf asks. The zero value is the one on this machine, else the one in the
// cluster of the current context.
type Asked struct {
	Address string // HOST:PORT; empty: see StatusOf
	Local   string // where an agent of this machine listens
	Name    string // of its Service in the cluster
	Connect deploy.ConnectOptions
	Notify  func(text string) // called before a cluster is asked
}

// NoAnswerError says that no agent answers at an address.
type NoAnswerError struct {
	Address string
	Err     error
}

func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("ask the agent at %s: %v", e.Address, e.Err)
}
func (e *NoAnswerError) Unwrap() error { return e.Err }

// DeniedError says that the user may not ask the agent through the API server. It does not unwrap: the way
// out is another one than that of a deploy.
type DeniedError struct {
	Err             error
	Namespace, Name string
}

func (e *DeniedError) Error() string { return e.Err.Error() }

// StatusOf returns how an agent's environments stand. Without an address it asks this machine, unless the
// options name a context or a namespace; where nothing listens there, it asks through the API server. It
// fails with a *NoAnswerError, a *DeniedError or a *cluster.NoServiceError.
func StatusOf(ctx context.Context, of Asked) ([]Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	text, err := of.ask(ctx)
	if err != nil {
		return nil, err
	}
	var all []Status
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read the status of the agent: %w", err)
	}
	return all, nil
}

func (of Asked) ask(ctx context.Context) ([]byte, error) {
	if of.Address != "" {
		return askAddress(ctx, of.Address)
	}
	var refused error // by this machine
	if of.Connect.Context == "" && of.Connect.Namespace == "" {
		text, err := askAddress(ctx, of.Local)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return text, err
		}
		refused = err
	}
	at, err := of.Connect.Context, error(nil)
	if at == "" {
		at, err = cluster.CurrentContext(of.Connect.Kubeconfig)
	}
	if refused != nil && at == "" {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	namespace := cmp.Or(of.Connect.Namespace, installedIn)
	c, err := deploy.ConnectLease(at, namespace, of.Connect)
	if err != nil {
		return nil, err
	}
	of.Notify(fmt.Sprintf("asking %s in namespace %s of context %s", of.Name, namespace, at))
	text, err := c.AskService(ctx, of.Name, "http", "status")
	if errors.As(err, new(*cluster.PermissionError)) {
		err = &DeniedError{err, namespace, of.Name}
	}
	return text, err
}

func askAddress(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, &NoAnswerError{address, err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, &NoAnswerError{address, err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &NoAnswerError{address, fmt.Errorf("it answers %s", response.Status)}
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &NoAnswerError{address, err}
	}
	return text, nil
}
