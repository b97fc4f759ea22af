package node

import (
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLogOptions(t *testing.T) {
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	stamp := at.UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"":                               "a\nb\nc\n",
		"tailLines=2":                    "b\nc\n",
		"tailLines=0":                    "",
		"tailLines=9":                    "a\nb\nc\n",
		"limitBytes=3":                   "a\nb",
		"timestamps=true&tailLines=1":    stamp + " c\n",
		"sinceSeconds=30":                "",
		"sinceSeconds=90":                "a\nb\nc\n",
		"sinceTime=2999-01-01T00:00:00Z": "",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		o, err := readLogOptions(q)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if got := o.apply([]string{"a", "b", "c"}, at); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for _, bad := range []string{"tailLines=x", "limitBytes=-1", "sinceTime=now"} {
		q, _ := url.ParseQuery(bad)
		if _, err := readLogOptions(q); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestPickRun(t *testing.T) {
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id,
			StartedAt: metav1.NewTime(dawn)}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for _, tc := range []struct {
		name     string
		status   *corev1.ContainerStatus
		previous bool
		id, err  string
	}{
		{"running", &corev1.ContainerStatus{ContainerID: "2", State: running, LastTerminationState: ended("1")},
			false, "2", ""},
		{"running, previous", &corev1.ContainerStatus{ContainerID: "2", State: running,
			LastTerminationState: ended("1")}, true, "1", ""},
		{"first run, previous", &corev1.ContainerStatus{ContainerID: "1", State: running}, true, "",
			`previous terminated container "app" in pod "web" not found`},
		{"ended", &corev1.ContainerStatus{State: ended("1")}, false, "1", ""},
		{"crash loop", &corev1.ContainerStatus{State: waiting("CrashLoopBackOff"),
			LastTerminationState: ended("1")}, false, "1", ""},
		{"creating", &corev1.ContainerStatus{State: waiting("ContainerCreating")}, false, "",
			`container "app" in pod "web" is waiting to start: ContainerCreating`},
		{"no image", &corev1.ContainerStatus{State: waiting("ErrImagePull")}, false, "",
			`container "app" in pod "web" is waiting to start: image can't be pulled`},
		{"no image, later", &corev1.ContainerStatus{State: waiting("ImagePullBackOff")}, false, "",
			`container "app" in pod "web" is waiting to start: trying and failing to pull image`},
		{"no status", nil, false, "", `container "app" in pod "web" is not available`},
	} {
		_, id, err := pickRun("web", "app", tc.status, tc.previous)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if id != tc.id || text != tc.err {
			t.Errorf("%s: got %q, %q, want %q, %q", tc.name, id, text, tc.id, tc.err)
		}
	}
}
