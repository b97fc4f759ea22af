package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

const mounted = "envFrom: [{secretRef: {name: late}}]"

// A Secret that a Job makes is waited for while the Job runs.
func TestWaitForSecretOfJob(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, deployment("api", "", mounted, "")+"---\n"+job("run=11s", "Never"))
	apply(t, p.editor, set)
	var told []string
	err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Notify: func(n Progress) {
		told = append(told, n.Message)
		if n.Ref.Kind != "Job" || n.Status != object.Current {
			return
		}
		_, err := p.editor.Typed().CoreV1().Secrets(p.Namespace).Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
		if err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(strings.Join(told, "\n"), ": waiting for the Secret late") {
		t.Errorf("what it waits for is not told: %q", told)
	}
}

// A Secret that a custom resource makes is waited for until the timeout, another one is not.
func TestWaitForSecretOfOperator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, secret string
		timeout      bool
	}{{"named", "late", true}, {"another", "other", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			set := p.Parse(t, deployment("api", "", mounted, ""))
			apply(t, p.editor, set)
			set = p.Parse(t, deployment("api", "", mounted, "")+`---
apiVersion: secrets.example.com/v1
kind: Borrowed
metadata: {name: from-the-safe}
spec: {target: {name: `+c.secret+`}}
`)
			err := Wait(t.Context(), p.editor, set, Options{Timeout: 15 * time.Second})
			var sick *NotHealthyError
			if !errors.As(err, &sick) || sick.Timeout != c.timeout {
				t.Fatalf("want timeout %v: %v", c.timeout, err)
			}
			want := `it needs the Secret "late", which does not exist`
			if sick.Failures[0].Cause != want {
				t.Errorf("cause: %s\nwant: %s", sick.Failures[0].Cause, want)
			}
		})
	}
}

// A claim that a provisioner serves is waited for; one without a provisioner is not.
func TestWaitForVolume(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, class string
		timeout     bool
		cause       string
	}{
		{"provisioned by another program", "slow", true,
			"no node fits the pod: pod has unbound immediate PersistentVolumeClaims"},
		{"no such class", "none", false,
			"the claim data has no volume: storageclass.storage.k8s.io \"$CLASS\" not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			class := c.class + "-" + p.Namespace
			if c.timeout {
				apply(t, p.admin, p.Parse(t, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: "+class+
					"}\nprovisioner: example.com/slow\nvolumeBindingMode: Immediate\n"))
			}
			set := p.Parse(t, strings.Replace(deployment("api", "", probe, ""), "      containers:",
				"      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]\n      containers:", 1)+`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: `+class+`, resources: {requests: {storage: 1Gi}}}
`)
			apply(t, p.editor, set)
			var told []string
			err := Wait(t.Context(), p.editor, set, Options{Timeout: 12 * time.Second, Grace: time.Second,
				Notify: func(n Progress) { told = append(told, n.Message) }})
			var sick *NotHealthyError
			if !errors.As(err, &sick) || sick.Timeout != c.timeout {
				t.Fatalf("want timeout %v: %v", c.timeout, err)
			}
			if want := strings.Replace(c.cause, "$CLASS", class, 1); !strings.HasPrefix(sick.Failures[0].Cause, want) {
				t.Errorf("cause: %s\nwant: %s", sick.Failures[0].Cause, want)
			}
			waits := "waiting for the volume of the claim data (storage class " + class + ")"
			if said := strings.Contains(strings.Join(told, "\n"), waits); said != c.timeout {
				t.Errorf("told %q", told)
			}
		})
	}
}

// A program that breaks some seconds after it became ready is not healthy, if it is watched for long enough.
func TestWaitSettles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, behavior, probe string
		settle                time.Duration
		reason                string
	}{
		{"not watched", "crash-after=6s", probe, 0, ""},
		{"crashes", "crash-after=4s", probe, 8 * time.Second, "CrashLoopBackOff"},
		{"crashes without a probe", "crash-after=5s", "", 8 * time.Second, "CrashLoopBackOff"},
		{"liveness", "unhealthy-after=4s",
			"livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, failureThreshold: 1}",
			8 * time.Second, "CrashLoopBackOff"},
		{"stays", "", probe, 2 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			set := p.Parse(t, deployment("api", c.behavior, c.probe, ""))
			apply(t, p.editor, set)
			var told []string
			err := Wait(t.Context(), p.editor, set, Options{Timeout: patience, Settle: c.settle,
				Notify: func(n Progress) { told = append(told, n.Message) }})
			var sick *NotHealthyError
			switch {
			case c.reason == "":
				if err != nil {
					t.Fatal(err)
				}
				want := "1 of 1 ready"
				if c.settle > 0 {
					want = "1 of 1 ready, stable for 2s"
				}
				if last := told[len(told)-1]; last != want {
					t.Errorf("told %q, want %q at the end", told, want)
				}
			case !errors.As(err, &sick) || sick.Failures[0].Reason != c.reason:
				t.Fatalf("want %s: %v (told %q)", c.reason, err, told)
			}
		})
	}
}
