package node

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Annotations of a pod, and of the same names labels of an image, that say what a simulated
// container does. `behavior` and `log` also exist for one container: behavior.NAME, log.NAME.
const (
	domain         = "sandbox.slipway.dev/"
	behaviorKey    = domain + "behavior"
	logKey         = domain + "log"
	cpuKey         = domain + "cpu"
	memoryKey      = domain + "memory"
	simulatedLabel = domain + "simulated"
)

const (
	initLife = 100 * time.Millisecond // how long an init container runs
	jobLife  = time.Second            // how long a container runs that is not meant to stay
)

// script is what a container does once it was started. Its zero value runs for good and is healthy.
type script struct {
	exits  bool
	after  time.Duration // exits so long after its start
	code   int32
	reason string // of the termination: Completed, Error, OOMKilled

	slow       time.Duration // not healthy before
	unhealthy  time.Duration // not healthy from then on; 0 is never
	neverReady bool
	initCrash  bool   // the pod's first init container crashes
	hangs      bool   // it ignores SIGTERM
	lastWords  string // printed right before the exit
}

// parseScript reads words separated by spaces or commas. It refuses what it does not know and
// what contradicts itself: a misspelt word would otherwise be a test that tests nothing.
func parseScript(text string) (script, error) {
	words := map[string]string{}
	for _, field := range strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" ,\t\n", r)
	}) {
		word, value, valued := strings.Cut(field, "=")
		wants, known := vocabulary[word]
		switch _, twice := words[word]; {
		case !known:
			return script{}, fmt.Errorf("unknown behavior %q: known are %s", word,
				strings.Join(slices.Sorted(maps.Keys(vocabulary)), ", "))
		case twice:
			return script{}, fmt.Errorf("behavior %q is given twice", word)
		case valued && wants == "":
			return script{}, fmt.Errorf("behavior %q takes no value", word)
		case wants != "" && value == "":
			return script{}, fmt.Errorf("behavior %q wants a value: %s", word, wants)
		}
		words[word] = value
	}
	for _, pair := range [][2]string{{"run", "crash-after"}, {"run", "crash"}, {"crash", "crash-after"},
		{"oom", "exit"}, {"never-ready", "slow"}} {
		_, first := words[pair[0]]
		_, second := words[pair[1]]
		if first && second {
			return script{}, fmt.Errorf("behaviors %q and %q contradict each other", pair[0], pair[1])
		}
	}
	var s script
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if err := s.learn(word, words[word]); err != nil {
			return script{}, fmt.Errorf("behavior %s=%s: %w", word, words[word], err)
		}
	}
	s.settle(words)
	return s, nil
}

// vocabulary has an example for each word that takes a value. What the words do:
//
//	crash, exit=3      ends right after its start, with exit code 1 or the one given
//	oom                ends right after its start as OOMKilled, 137
//	crash-after=2s     ends after that time with code 1, or as exit and oom say
//	run=2s             ends after that time with code 0, or as exit says
//	slow=5s            nobody listens before: startup, liveness and readiness probes fail
//	never-ready        the readiness probe fails
//	unhealthy-after=3s the liveness probe fails from then on; without one, the readiness probe
//	init-crash         the pod's first init container ends with code 1
//	hang               does not end when it is asked to: it is killed, 137. Others end with code 0
//
// slow, never-ready and unhealthy-after bring a readiness probe of their own where the container
// has no probe that would notice.
var vocabulary = map[string]string{
	"crash": "", "oom": "", "never-ready": "", "init-crash": "", "hang": "",
	"exit": "exit=3", "crash-after": "crash-after=2s", "run": "run=2s", "slow": "slow=5s",
	"unhealthy-after": "unhealthy-after=3s",
}

func (s *script) learn(word, value string) (err error) {
	switch word {
	case "crash", "oom":
		s.exits = true
	case "never-ready":
		s.neverReady = true
	case "init-crash":
		s.initCrash = true
	case "hang":
		s.hangs = true
	case "exit":
		code, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return fmt.Errorf("not an exit code from 0 to 255")
		}
		s.exits, s.code = true, int32(code)
	case "crash-after", "run":
		s.exits = true
		s.after, err = positive(value)
	case "slow":
		s.slow, err = positive(value)
	case "unhealthy-after":
		s.unhealthy, err = positive(value)
	}
	return err
}

func positive(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("not a duration such as 2s")
	}
	return d, nil
}

// settle fills in the exit code and reason that the words imply together.
func (s *script) settle(words map[string]string) {
	if !s.exits {
		return
	}
	_, exit := words["exit"]
	_, crash := words["crash"]
	_, later := words["crash-after"]
	_, oom := words["oom"]
	if (crash || later) && !exit {
		s.code = 1
	}
	s.reason = "Completed"
	if s.code != 0 {
		s.reason = "Error"
	}
	if oom {
		s.code, s.reason = 137, "OOMKilled"
	}
}

// ending returns the script with an end after d, if it has none of its own.
func (s script) ending(d time.Duration) script {
	if !s.exits {
		s.exits, s.after, s.reason = true, d, "Completed"
	}
	return s
}

// scriptFor finds what container i of a role does: said of that container, of the pod, of the
// image. What is said of all containers does not concern init containers: `init-crash` does.
func scriptFor(pod *corev1.Pod, c *container, labels map[string]string) (script, error) {
	general, ok := pod.Annotations[behaviorKey]
	if !ok {
		general = labels[behaviorKey]
	}
	text, own := pod.Annotations[behaviorKey+"."+c.spec.Name]
	if !own {
		text = general
	}
	s, err := parseScript(text)
	if err != nil {
		return script{}, err
	}
	if s.initCrash && len(pod.Spec.InitContainers) == 0 {
		return script{}, fmt.Errorf("behavior %q: the pod has no init container", "init-crash")
	}
	if c.role == initial && !own {
		first := pod.Spec.InitContainers[0].Name == c.spec.Name
		crash := s.initCrash && first
		s = script{}
		if crash {
			s = script{exits: true, code: 1, reason: "Error"}
		}
	}
	switch {
	case c.role == initial:
		return s.ending(initLife), nil
	case c.role == regular && c.restartPolicy(pod) != corev1.RestartPolicyAlways:
		return s.ending(jobLife), nil
	}
	return s, nil
}

// checkAnnotations refuses annotations of the sandbox that nothing would ever read.
func checkAnnotations(pod *corev1.Pod) error {
	for _, key := range slices.Sorted(maps.Keys(pod.Annotations)) {
		name, ours := strings.CutPrefix(key, domain)
		if !ours {
			continue
		}
		base, of, scoped := strings.Cut(name, ".")
		switch base {
		case "behavior", "log":
			if scoped && findSpec(pod, of) == nil {
				return fmt.Errorf("annotation %s: the pod has no container %q", key, of)
			}
			continue
		case "cpu", "memory":
			if _, err := resource.ParseQuantity(pod.Annotations[key]); err != nil || scoped {
				return fmt.Errorf("annotation %s=%s: not a quantity such as 250m", key, pod.Annotations[key])
			}
			continue
		}
		return fmt.Errorf("unknown annotation %s: known are behavior, log, cpu and memory", key)
	}
	return nil
}

func findSpec(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// logLines is what a container prints at its start; nothing else is ever printed but its last words.
func logLines(pod *corev1.Pod, name string, img image) []string {
	text, ok := pod.Annotations[logKey+"."+name]
	if !ok {
		text, ok = pod.Annotations[logKey]
	}
	if !ok {
		// A Dockerfile's LABEL cannot hold a line break.
		text, ok = strings.ReplaceAll(img.labels[logKey], `\n`, "\n"), img.labels[logKey] != ""
	}
	if !ok {
		text = fmt.Sprintf("container %s of pod %s/%s is simulated: its image was checked, nothing of it runs",
			name, pod.Namespace, pod.Name)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if spec := findSpec(pod, name); spec != nil && !img.runsHere() {
		lines = []string{execFormatError(spec, img)}
	}
	return lines
}

// execFormatError is what a runtime prints that was given a program for another machine.
func execFormatError(spec *corev1.Container, img image) string {
	for _, command := range [][]string{spec.Command, img.entrypoint, spec.Args, img.command} {
		if len(command) > 0 {
			return fmt.Sprintf("exec %s: exec format error", command[0])
		}
	}
	return "exec format error"
}
