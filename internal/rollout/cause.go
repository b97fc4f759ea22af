package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/cluster"
	"slipway/internal/lazyregexp"
	"slipway/internal/words"
)

// cause says in one sentence what probably went wrong. s is the symptom that ended the wait, d the symptom of
// a pod behind it.
func cause(s, d symptom, events []corev1.Event) string {
	switch s.reason {
	case "DeploymentPaused":
		return "its rollout is paused (spec.paused), so the new version never starts"
	case "NotFound":
		return "it was deleted while the deploy waited for it"
	case "Terminating":
		return "it is being deleted"
	case "DeadlineExceeded":
		return "it did not finish within its activeDeadlineSeconds"
	}
	return jobCause(s, detailCause(d, events))
}

// jobCause is the cause for a Job that gave up, given why its last pod failed.
func jobCause(s symptom, last string) string {
	switch {
	case s.reason != "BackoffLimitExceeded":
		return last
	case last == "":
		return "every attempt failed"
	}
	return "every attempt failed: " + last
}

func detailCause(d symptom, events []corev1.Event) string {
	switch d.reason {
	case "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
		"SignatureValidationFailed":
		return imageCause(d, events)
	case "OOMKilled":
		return oomCause(d)
	case "StartError", "ContainerCannotRun", "RunContainerError":
		return "the container's command cannot be started: " + startText(d.message)
	case "CreateContainerError":
		if strings.HasSuffix(d.message, "no command specified") {
			return fmt.Sprintf("the image %s has no command, and the manifest gives none", containerOf(d).Image)
		}
	case "CreateContainerConfigError", "FailedMount":
		return missingCause(d)
	case "FailedCreate":
		return createCause(d.message)
	case corev1.PodReasonUnschedulable:
		return roomCause(d)
	case "Unhealthy":
		return probeCause(d, events)
	case nodeDown:
		return nodeCause(d)
	}
	if d.exit != nil {
		return exitCause(d, events)
	}
	return strings.TrimSuffix(d.message, ".")
}

// noPullSecret is the kubelet's event for a pull secret that does not exist: it pulls without one.
const noPullSecret = "FailedToRetrieveImagePullSecret"

func imageCause(d symptom, events []corev1.Event) string {
	image := containerOf(d).Image
	message := d.message
	// Older kubelets give the reason only in the event.
	for _, e := range events {
		if e.Reason == "Failed" && strings.Contains(e.Message, "pull image") || e.Reason == noPullSecret {
			message += " " + e.Message
		}
	}
	lower := strings.ToLower(message)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(lower, w) })
	}
	isDenied := has("unauthorized", "denied", "forbidden", "authentication required", "no basic auth")
	switch {
	case d.reason == "InvalidImageName":
		return fmt.Sprintf("%q is not a valid image name", image)
	case d.reason == "ErrImageNeverPull":
		return fmt.Sprintf("imagePullPolicy is Never and the node does not have the image %s", image)
	case d.reason == "SignatureValidationFailed":
		return fmt.Sprintf("the node rejects the signature of the image %s", image)
	case has("no match for platform", "no matching manifest"):
		return fmt.Sprintf("the image %s has no variant for the node's platform", image)
	case isDenied && has("unable to retrieve some image pull secrets"):
		return fmt.Sprintf("the registry denies the image %s, and a pull secret of the pod does not exist", image)
	case isDenied:
		return fmt.Sprintf("the registry denies the image %s: the pull secret is missing or wrong, or the "+
			"repository does not exist", image)
	case has("not found", "manifest unknown", "name unknown", "does not exist"):
		return fmt.Sprintf("the image %s is not in the registry", image)
	case has("x509", "https client"):
		return fmt.Sprintf("the node does not trust the registry of the image %s", image)
	}
	return fmt.Sprintf("the image %s cannot be pulled: %s", image, strings.TrimSuffix(d.message, "."))
}

// logCause reads why a container ended from its last lines, where only they say so. It returns the part of
// the container that is to blame too.
func logCause(d symptom, log []string) (why, part string) {
	if d.exit == nil {
		return "", ""
	}
	for _, line := range log {
		switch {
		case strings.HasSuffix(line, "exec format error"):
			return fmt.Sprintf("the image %s is not for the node's platform", containerOf(d).Image), ".image"
		case strings.Contains(line, "address already in use"), strings.Contains(line, "EADDRINUSE"):
			return fmt.Sprintf("the container %q exits with code %d: its port is in use by another container of the "+
				"pod", d.container, *d.exit), ".ports"
		}
	}
	return "", ""
}

func oomCause(d symptom) string {
	if limit, ok := containerOf(d).Resources.Limits[corev1.ResourceMemory]; ok {
		return fmt.Sprintf("the container needs more memory than its limit of %s", limit.String())
	}
	return "the container needs more memory than the node has"
}

func exitCause(d symptom, events []corev1.Event) string {
	what := "the container"
	if isInit(d) {
		what = fmt.Sprintf("the init container %q", d.container)
	}
	if probe, text, ok := killedBy(d, events); ok {
		return fmt.Sprintf("%s is restarted because its %s fails: %s", what, probeName(probe, containerOf(d)), text)
	}
	after := "right after it starts"
	if d.ran >= 5*time.Second {
		after = fmt.Sprintf("after %s", words.Duration(d.ran.Round(time.Second)))
	}
	switch code := *d.exit; code {
	case 0:
		return fmt.Sprintf("%s ends by itself with exit code 0 %s, but should keep running", what, after)
	case 126, 127:
		return fmt.Sprintf("%s exits with code %d %s: its command cannot be found or executed", what, code, after)
	case 137:
		return fmt.Sprintf("%s is killed (exit code 137) %s", what, after)
	default:
		return fmt.Sprintf("%s exits with code %d %s", what, code, after)
	}
}

// killedBy returns the failed probe for which the kubelet ended the container. Its "Killing" event decides: a
// program that ends properly on SIGTERM exits with code 0.
func killedBy(d symptom, events []corev1.Event) (kind, text string, ok bool) {
	for _, e := range events {
		if e.Reason != "Killing" || !strings.Contains(e.Message, "Container "+d.container+" failed ") {
			continue
		}
		for _, kind := range []string{"Liveness", "Startup"} {
			if strings.Contains(e.Message, strings.ToLower(kind)+" probe") {
				return lastProbe(events, kind)
			}
		}
	}
	if *d.exit == 137 || *d.exit == 143 {
		return lastProbe(events, "Liveness", "Startup")
	}
	return "", "", false
}

// startText leaves out of a runtime's message the layers through which it came.
func startText(message string) string {
	if _, why, ok := strings.Cut(message, "unable to start container process: "); ok {
		return strings.TrimSuffix(why, ": unknown")
	}
	return message
}

var (
	missingObject = lazyregexp.New(`(?i)(configmap|secret) "([^"]+)" not found`)
	missingKey    = lazyregexp.New(`(?i)couldn't find key (\S+) in (configmap|secret) (?:\S+/)?(\S+)`)
	missingKinds  = map[string]string{"configmap": "ConfigMap", "secret": "Secret"}
)

func missingCause(d symptom) string {
	message := d.message
	if m := missingObject().FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("it needs the %s %q, which does not exist", missingKinds[strings.ToLower(m[1])], m[2])
	}
	if m := missingKey().FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("it needs the key %q, which the %s %q does not have", m[1],
			missingKinds[strings.ToLower(m[2])], m[3])
	}
	if m := missingItem().FindStringSubmatch(message); m != nil {
		if kind, name := sourceOf(d.pod, m[1]); name != "" {
			return fmt.Sprintf("it needs the key %q, which the %s %q does not have", m[3], kind, name)
		}
	}
	return "the container's configuration is wrong: " + message
}

// missingItem matches a mounted key that does not exist: the kubelet names the volume, not the object.
var missingItem = lazyregexp.New(`for volume "([^"]+)" : .*non-existent (config|secret) key: (\S+)`)

// sourceOf returns the ConfigMap or Secret of a volume.
func sourceOf(pod *corev1.Pod, volume string) (kind, name string) {
	if pod == nil {
		return "", ""
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.Name != volume:
		case v.ConfigMap != nil:
			return "ConfigMap", v.ConfigMap.Name
		case v.Secret != nil:
			return "Secret", v.Secret.SecretName
		}
	}
	return "", ""
}

// createCause leaves out the pod, which has no name yet.
func createCause(message string) string {
	if m := missingAccount().FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("it needs the ServiceAccount %q, which does not exist", m[1])
	}
	if by, why, ok := cluster.Denial(message); ok {
		return strings.TrimSuffix(by+" denies the pod: "+why, ": ")
	}
	if _, why, ok := strings.Cut(message, " is forbidden: "); ok {
		message = why
	}
	return "the API server rejects the pod: " + message
}

var (
	missingAccount = lazyregexp.New(`(?i)serviceaccount "([^"]+)" not found`)
	insufficient   = lazyregexp.New(`\d+ Insufficient ([^,.\s]+)`)
	nodeCounts     = lazyregexp.New(`^\d+/\d+ nodes are available: `)
)

// roomCause names the resource that no node has free, and how much of it the pod requests.
func roomCause(d symptom) string {
	if strings.HasPrefix(d.message, "the claim ") {
		return d.message
	}
	why := roomReasons(d.message)
	if m := insufficient().FindStringSubmatch(why); m != nil && d.pod != nil {
		asked := requests(d.pod, corev1.ResourceName(m[1]))
		return fmt.Sprintf("no node has %s of %s free: %s", asked.String(), m[1], why)
	}
	return "no node fits the pod: " + why
}

// roomReasons are the scheduler's words without the count of nodes, and without what preemption could do.
func roomReasons(message string) string {
	why, _, _ := strings.Cut(message, " preemption:")
	return strings.TrimSuffix(nodeCounts().ReplaceAllString(strings.TrimSpace(why), ""), ".")
}

func requests(pod *corev1.Pod, name corev1.ResourceName) resource.Quantity {
	var sum resource.Quantity
	for _, c := range pod.Spec.Containers {
		sum.Add(c.Resources.Requests[name])
	}
	return sum
}

func probeCause(d symptom, events []corev1.Event) string {
	c := containerOf(d)
	if probe, text, ok := lastProbe(events, "Startup", "Liveness"); ok {
		return fmt.Sprintf("the %s fails: %s", probeName(probe, c), text)
	}
	_, text, ok := lastProbe(events, "Readiness")
	switch {
	case ok:
		return fmt.Sprintf("the %s never succeeded: %s", probeName("Readiness", c), text)
	case c.ReadinessProbe != nil:
		return fmt.Sprintf("the %s has not succeeded yet", probeName("Readiness", c))
	}
	return "the container runs, but is not ready"
}

var httpStatus = lazyregexp.New(`HTTP probe failed with statuscode: (\d+)`)

// lastProbe finds the last failed probe of one of the kinds.
func lastProbe(events []corev1.Event, kinds ...string) (kind, text string, ok bool) {
	for _, e := range slices.Backward(events) {
		for _, kind := range kinds {
			text, found := strings.CutPrefix(e.Message, kind+" probe ")
			if e.Reason != "Unhealthy" || !found {
				continue
			}
			_, text, _ = strings.Cut(text, ": ")
			return kind, probeText(strings.TrimSpace(text)), true
		}
	}
	return "", "", false
}

func probeText(text string) string {
	switch {
	case httpStatus().MatchString(text):
		return "HTTP " + httpStatus().FindStringSubmatch(text)[1]
	case strings.Contains(text, "connection refused"):
		return "connection refused"
	case strings.Contains(text, "deadline exceeded") || strings.Contains(text, "imed out"):
		return "timeout"
	case text == "":
		return "no message"
	}
	return text
}

// probeName prints "readiness probe GET :8080/readyz".
func probeName(kind string, c corev1.Container) string {
	name := strings.ToLower(kind) + " probe"
	p := map[string]*corev1.Probe{"Readiness": c.ReadinessProbe, "Liveness": c.LivenessProbe,
		"Startup": c.StartupProbe}[kind]
	switch {
	case p == nil:
	case p.HTTPGet != nil:
		name += " GET :" + portOf(c, p.HTTPGet.Port.String()) + "/" + strings.TrimPrefix(p.HTTPGet.Path, "/")
	case p.TCPSocket != nil:
		name += " on TCP port " + portOf(c, p.TCPSocket.Port.String())
	case p.GRPC != nil:
		name += " on gRPC port " + strconv.Itoa(int(p.GRPC.Port))
	case p.Exec != nil:
		name += " " + strconv.Quote(strings.Join(p.Exec.Command, " "))
	}
	return name
}

func portOf(c corev1.Container, port string) string {
	for _, p := range c.Ports {
		if p.Name == port {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return port
}

func containerOf(d symptom) corev1.Container {
	if d.pod == nil {
		return corev1.Container{}
	}
	for _, c := range slices.Concat(d.pod.Spec.InitContainers, d.pod.Spec.Containers) {
		if c.Name == d.container {
			return c
		}
	}
	return corev1.Container{}
}

func isInit(d symptom) bool {
	return d.pod != nil && slices.ContainsFunc(d.pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == d.container
	})
}
