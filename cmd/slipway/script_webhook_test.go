package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdWebhook starts a webhook that denies requests, and registers it in the cluster for the rest of a script:
//
//	webhook NAME ENV GROUP RESOURCE MESSAGE   GROUP "" is that of pods and Services
//
// The API server takes a moment to ask it.
func cmdWebhook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: webhook NAME ENV GROUP RESOURCE MESSAGE")
	}
	s := httptest.NewTLSServer(deny(args[4]))
	ts.Defer(s.Close)
	a := adminOf(ts)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	body, err := json.Marshal(map[string]any{"webhooks": []any{map[string]any{
		"name": args[0], "admissionReviewVersions": []string{"v1"}, "sideEffects": "None",
		"namespaceSelector": map[string]any{"matchLabels": map[string]string{
			"kubernetes.io/metadata.name": a.prefix + "-" + args[1]}},
		"rules": []any{map[string]any{"apiGroups": []string{args[2]}, "apiVersions": []string{"*"},
			"resources": []string{args[3]}, "operations": []string{"CREATE", "UPDATE"}}},
		"clientConfig": map[string]any{"url": s.URL, "caBundle": authority},
	}}})
	ts.Check(err)
	name := fmt.Sprintf("ValidatingWebhookConfiguration/%s-%s", a.prefix, args[3])
	ts.Check(a.do(context.Background(), ts.Stdout(), []string{"create", args[1], name, string(body)}))
	ts.Defer(func() {
		if err := a.do(context.Background(), io.Discard, []string{"delete", args[1], name}); err != nil {
			ts.Logf("%s stays: %v", name, err)
		}
	})
}

// deny answers each review of an object with a message.
func deny(message string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
			"response": map[string]any{
				"uid": review.Request.UID, "allowed": false,
				"status": map[string]any{"code": http.StatusForbidden, "message": message},
			},
		})
	})
}
