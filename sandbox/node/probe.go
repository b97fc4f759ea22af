package node

import (
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe is one probe of one run of a container. Nothing is connected to: the script answers.
type probe struct {
	kind   string // Startup, Liveness, Readiness: as in events
	spec   *corev1.Probe
	next   time.Time
	streak int  // equal outcomes in a row
	last   bool // the outcome of the streak
	result bool // what holds, after the thresholds
}

func newProbe(kind string, spec *corev1.Probe, from time.Time, result bool) *probe {
	if spec == nil {
		return nil
	}
	return &probe{kind: kind, spec: spec, result: result, next: from.Add(seconds(spec.InitialDelaySeconds))}
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

func (p *probe) period() time.Duration { return seconds(max(p.spec.PeriodSeconds, 1)) }

// observe takes one outcome and says whether a threshold was just reached.
func (p *probe) observe(ok bool, now time.Time) (decided bool) {
	if p.streak == 0 || ok != p.last {
		p.last, p.streak = ok, 0
	}
	p.streak++
	p.next = now.Add(p.period())
	need := max(p.spec.FailureThreshold, 1)
	if ok {
		need = max(p.spec.SuccessThreshold, 1)
	}
	if p.streak < int(need) {
		return false
	}
	p.result = ok
	return true
}

// rest puts the next look off to the first period after the outcome can change. Without that
// each healthy container would wake the node up every few seconds.
func (p *probe) rest(change time.Time) {
	if change.IsZero() {
		p.next = time.Time{}
		return
	}
	if gap := change.Sub(p.next); gap > 0 {
		periods := (gap + p.period() - 1) / p.period()
		p.next = p.next.Add(periods * p.period())
	}
}

// impliedReadiness stands in where a script speaks of readiness and the container has no probe
// that could notice.
var impliedReadiness = &corev1.Probe{
	ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(80)}},
	PeriodSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1,
}

func readinessProbe(spec *corev1.Container, s script) *corev1.Probe {
	switch {
	case spec.ReadinessProbe != nil:
		return spec.ReadinessProbe
	case s.neverReady, s.slow > 0 && spec.StartupProbe == nil, s.unhealthy > 0 && spec.LivenessProbe == nil:
		return impliedReadiness
	}
	return nil
}

// failure words what the kubelet would have seen: an answer that is bad, or nobody who listens.
func (p *probe) failure(podIP string, spec *corev1.Container, listening bool) string {
	h := p.spec.ProbeHandler
	var port intstr.IntOrString
	switch {
	case h.Exec != nil:
		return fmt.Sprintf("%s probe failed: ", p.kind)
	case h.GRPC != nil:
		if listening {
			return fmt.Sprintf("%s probe failed: service unhealthy (responded with %q)", p.kind, "NOT_SERVING")
		}
		return fmt.Sprintf("%s probe failed: timeout: failed to connect service %q within %v: context deadline "+
			"exceeded",
			p.kind, address(podIP, int(h.GRPC.Port)), seconds(max(p.spec.TimeoutSeconds, 1)))
	case h.HTTPGet != nil && listening:
		return fmt.Sprintf("%s probe failed: HTTP probe failed with statuscode: 503", p.kind)
	case h.HTTPGet != nil:
		port = h.HTTPGet.Port
	case h.TCPSocket != nil:
		port = h.TCPSocket.Port
	}
	to := address(podIP, portNumber(port, spec))
	refused := fmt.Sprintf("dial tcp %s: connect: connection refused", to)
	if h.HTTPGet != nil {
		scheme := "http"
		if h.HTTPGet.Scheme == corev1.URISchemeHTTPS {
			scheme = "https"
		}
		refused = fmt.Sprintf("Get %q: %s", scheme+"://"+to+h.HTTPGet.Path, refused)
	}
	return fmt.Sprintf("%s probe failed: %s", p.kind, refused)
}

func address(ip string, port int) string { return net.JoinHostPort(ip, fmt.Sprint(port)) }

func portNumber(p intstr.IntOrString, spec *corev1.Container) int {
	if p.Type == intstr.Int {
		return p.IntValue()
	}
	for _, named := range spec.Ports {
		if named.Name == p.StrVal {
			return int(named.ContainerPort)
		}
	}
	return 0
}
