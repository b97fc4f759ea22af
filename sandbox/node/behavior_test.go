package node

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestParseScript(t *testing.T) {
	for text, want := range map[string]script{
		"":                           {},
		"crash":                      {exits: true, code: 1, reason: "Error"},
		"exit=0":                     {exits: true, reason: "Completed"},
		"exit=3":                     {exits: true, code: 3, reason: "Error"},
		"crash exit=7":               {exits: true, code: 7, reason: "Error"},
		"crash-after=2s":             {exits: true, after: 2 * time.Second, code: 1, reason: "Error"},
		"crash-after=2s, exit=4":     {exits: true, after: 2 * time.Second, code: 4, reason: "Error"},
		"oom":                        {exits: true, code: 137, reason: "OOMKilled"},
		"oom crash-after=1m":         {exits: true, after: time.Minute, code: 137, reason: "OOMKilled"},
		"run=1500ms":                 {exits: true, after: 1500 * time.Millisecond, reason: "Completed"},
		"run=2s\texit=9":             {exits: true, after: 2 * time.Second, code: 9, reason: "Error"},
		"never-ready":                {neverReady: true},
		"slow=5s":                    {slow: 5 * time.Second},
		"slow=5s,unhealthy-after=8s": {slow: 5 * time.Second, unhealthy: 8 * time.Second},
		"init-crash":                 {initCrash: true},
	} {
		got, err := parseScript(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}

func TestParseScriptRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"crsh":                `unknown behavior "crsh": known are crash, crash-after, exit, hang, init-crash, never-ready, oom, run, slow, unhealthy-after`,
		"slow":                `behavior "slow" wants a value: slow=5s`,
		"slow=":               `behavior "slow" wants a value: slow=5s`,
		"slow=5":              `behavior slow=5: not a duration such as 2s`,
		"slow=-5s":            `behavior slow=-5s: not a duration such as 2s`,
		"exit=256":            `behavior exit=256: not an exit code from 0 to 255`,
		"crash=1":             `behavior "crash" takes no value`,
		"crash crash":         `behavior "crash" is given twice`,
		"run=2s crash":        `behaviors "run" and "crash" contradict each other`,
		"never-ready slow=5s": `behaviors "never-ready" and "slow" contradict each other`,
	} {
		if _, err := parseScript(text); err == nil || err.Error() != want {
			t.Errorf("%q: got error %v, want %s", text, err, want)
		}
	}
}

// testPod has an init container `prepare` and containers `app` and `proxy`.
func testPod(annotations ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u1",
		Annotations: map[string]string{}}}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[domain+annotations[i]] = annotations[i+1]
	}
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "prepare"}}
	p.Spec.Containers = []corev1.Container{{Name: "app"}, {Name: "proxy"}}
	return p
}

func TestScriptFor(t *testing.T) {
	crash, init, run := script{exits: true, code: 1, reason: "Error"}, script{}.ending(initLife), script{}
	type scripts [3]script // prepare, app, proxy
	for _, tc := range []struct {
		name  string
		pod   *corev1.Pod
		label string
		want  scripts
	}{
		{"nothing said", testPod(), "", scripts{init, run, run}},
		{"pod", testPod("behavior", "crash"), "", scripts{init, crash, crash}},
		{"one container", testPod("behavior.app", "crash"), "", scripts{init, crash, run}},
		{"one init container", testPod("behavior.prepare", "crash"), "", scripts{crash, run, run}},
		{"label", testPod(), "crash", scripts{init, crash, crash}},
		{"annotation goes before label", testPod("behavior", ""), "crash", scripts{init, run, run}},
		{"container goes before pod", testPod("behavior", "crash", "behavior.app", ""), "",
			scripts{init, run, crash}},
		{"init-crash of the pod", testPod("behavior", "init-crash"), "", scripts{crash, {initCrash: true},
			{initCrash: true}}},
		{"init-crash of the image", testPod(), "init-crash", scripts{crash, {initCrash: true}, {initCrash: true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, c := range adopt(tc.pod, time.Now()).containers {
				got, err := scriptFor(tc.pod, c, map[string]string{behaviorKey: tc.label})
				if err != nil || got != tc.want[i] {
					t.Errorf("%s: got %+v, %v, want %+v", c.spec.Name, got, err, tc.want[i])
				}
			}
		})
	}
}

func TestScriptForJobEnds(t *testing.T) {
	pod := testPod()
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	got, err := scriptFor(pod, &container{spec: &pod.Spec.Containers[0]}, nil)
	if want := (script{}).ending(jobLife); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestCheckAnnotations(t *testing.T) {
	for _, tc := range []struct{ key, value, want string }{
		{"behavior", "crash", ""},
		{"behavior.prepare", "crash", ""},
		{"log.app", "hello", ""},
		{"cpu", "250m", ""},
		{"behavior.ap", "crash", `annotation sandbox.slipway.dev/behavior.ap: the pod has no container "ap"`},
		{"behaviour", "crash", "unknown annotation sandbox.slipway.dev/behaviour: known are behavior, log, cpu " +
			"and memory"},
		{"cpu", "much", "annotation sandbox.slipway.dev/cpu=much: not a quantity such as 250m"},
	} {
		got := ""
		if err := checkAnnotations(testPod(tc.key, tc.value)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s=%s: got %q, want %q", tc.key, tc.value, got, tc.want)
		}
	}
}

func TestInitCrashWithoutInitContainer(t *testing.T) {
	pod := testPod("behavior", "init-crash")
	pod.Spec.InitContainers = nil
	if _, err := scriptFor(pod, &container{spec: &pod.Spec.Containers[0]}, nil); err == nil ||
		!strings.Contains(err.Error(), "no init container") {
		t.Errorf("got error %v", err)
	}
}

func TestLogLines(t *testing.T) {
	labelled := image{labels: map[string]string{logKey: `one\ntwo`}}
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		img  image
		want []string
	}{
		{"nothing said", testPod(), image{},
			[]string{"container app of pod ns/web is simulated: its image was checked, nothing of it runs"}},
		{"annotation", testPod("log", "a\nb\n"), labelled, []string{"a", "b"}},
		{"annotation of the container", testPod("log", "a", "log.app", "b"), image{}, []string{"b"}},
		{"label", testPod(), labelled, []string{"one", "two"}},
		{"another machine's program", testPod("log", "a"), image{os: "linux", arch: "arm64",
			entrypoint: []string{"/srv"}}, []string{"exec /srv: exec format error"}},
	} {
		if d := cmp.Diff(tc.want, logLines(tc.pod, "app", tc.img)); d != "" {
			t.Errorf("%s: (-want +got)\n%s", tc.name, d)
		}
	}
}
