package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// podIP is the environment variable with the address of the pod.
	podIP = "POD_IP"
	// forwardedHeader marks a request that another replica has passed on. It is not passed on again: two
	// replicas that each take the other one for the leader would never end.
	forwardedHeader = "Slipway-Passed-On"

	forwardTime  = 10 * time.Second
	maxForwarded = 32 << 20 // of an answer
)

// forwardClient neither follows redirects nor asks a proxy: the leader is a pod beside this one.
var forwardClient = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is that of the leader.
type answer struct {
	status int
	kind   string // its Content-Type
	body   []byte
}

func (a answer) writeTo(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.kind)
	w.WriteHeader(a.status)
	w.Write(a.body) //nolint:errcheck // the client has gone
}

// forward asks the replica that leads in place of this one, with the same body and signature. It fails where
// this replica leads, or knows no address of another one.
func (a endpoints) forward(r *http.Request, body []byte) (answer, error) {
	address := a.leadership.otherReplica()
	switch {
	case address == "":
		return answer{}, errors.New("its address is not known")
	case r.Header.Get(forwardedHeader) != "":
		return answer{}, errors.New("another replica took this one for the leader")
	}
	ctx, cancel := context.WithTimeout(r.Context(), forwardTime)
	defer cancel()
	at := "http://" + address + r.URL.Path
	request, err := http.NewRequestWithContext(ctx, r.Method, at, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, name := range append([]string{"Content-Type", tokenHeader}, signatures...) {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	request.Header.Set(forwardedHeader, "1")
	response, err := forwardClient.Do(request)
	if err != nil {
		a.options.Log.Warn("a request was not passed on to the replica that leads: " + err.Error())
		return answer{}, errors.New("does not answer")
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxForwarded+1))
	if err == nil && len(text) > maxForwarded {
		err = errors.New("it is too large")
	}
	if err != nil {
		a.options.Log.Warn("read the answer of the replica that leads: " + err.Error())
		return answer{}, errors.New("does not answer")
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), text}, nil
}
