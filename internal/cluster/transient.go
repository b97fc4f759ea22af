package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// transient is an answer, or the lack of one, after which the same request may succeed. Each request that we
// send may be repeated, also when its first answer was lost: a server-side apply or a delete ends the same
// way, and a create or an update of a record, a Lease or managed fields is a compare-and-swap, whose caller
// reads again when the object exists or has changed.
type transient struct {
	// what is "does not answer (EOF)" or "answers 503 Service Unavailable".
	what string
	// silent: no answer came back.
	silent bool
	// wait is how long the server asks to wait.
	wait time.Duration
	// tries is how often such an answer may come before it counts; 0: as long as time allows.
	tries int
}

const (
	// An internal error is a change of etcd's leader, or a webhook that is down for good.
	internalTries = 4
	// Other managers do not write our objects all the time.
	conflictTries = 6
)

// transientOf returns nil when the answer is final. It may read the body of resp, and leaves it to be read
// once more. With known the server has answered before: until then, a refused connection is a wrong address.
func transientOf(req *http.Request, resp *http.Response, err error, known bool) *transient {
	if err != nil {
		if isFinal(req.Context(), err, known) {
			return nil
		}
		return &transient{what: fmt.Sprintf("does not answer (%v)", err), silent: true}
	}
	t := &transient{what: "answers " + resp.Status}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		t.wait = time.Duration(seconds) * time.Second
		return t
	case http.StatusInternalServerError:
		t.tries = internalTries
		return t
	case http.StatusGone:
		// Of a list: the server restarted. A watch, or the next part of a list, has to begin anew.
		q := req.URL.Query()
		if req.Method != http.MethodGet || isStream(req) || q.Get("continue") != "" {
			return nil
		}
		t.tries = conflictTries
		return t
	case http.StatusConflict:
		if !isContention(req, resp) {
			return nil
		}
		t.tries = conflictTries
		return t
	}
	return nil
}

// isFinal says that a request without an answer would not get one the next time.
func isFinal(ctx context.Context, err error, known bool) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	_, fenced := errors.AsType[*fencedError](err)
	op, _ := errors.AsType[*net.OpError](err)
	return ctx.Err() != nil || fenced || certificate || noTLS || !known && op != nil && op.Op == "dial"
}

// isContention says of a conflict that the request itself has no precondition: another client wrote the
// object, or a quota that counts it, at the same moment. A conflict of field managers is another thing.
func isContention(req *http.Request, resp *http.Response) bool {
	apply := req.Method == http.MethodPatch &&
		strings.HasPrefix(req.Header.Get("Content-Type"), "application/apply-patch")
	if !apply && req.Method != http.MethodPost {
		return false
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	decoded, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil) // JSON or protobuf
	status, ok := decoded.(*metav1.Status)
	if err != nil || !ok {
		return true // of a proxy
	}
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Type == metav1.CauseTypeFieldManagerConflict {
				return false
			}
		}
	}
	return apply || status.Reason != metav1.StatusReasonAlreadyExists
}

// isStream says that the answer goes on for as long as both sides want.
func isStream(req *http.Request) bool {
	q := req.URL.Query()
	return isTrue(q.Get("watch")) || isTrue(q.Get("follow"))
}

func isTrue(v string) bool { b, _ := strconv.ParseBool(v); return b }
