package controlplane

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllersoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"slipway/sandbox/datadir"
	"slipway/sandbox/pki"
)

// The components' own commands are not used: each sets up a handler for signals, and the second
// one in a process panics.

func (c *ControlPlane) startAPIServer(ctx context.Context) error {
	s := apiserveroptions.NewServerRunOptions()
	flags := s.Flags()
	if err := parse(flags.FlagSets, c.apiServerFlags()...); err != nil {
		return err
	}
	s.SecureServing.Listener = c.options.Listener
	// Feature gates are one registry for all three components: set once, here.
	if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := s.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return errors.NewAggregate(errs)
	}
	c.run(&c.server, "kube-apiserver", func(ctx context.Context) error { return apiserver.Run(ctx, completed) })
	return nil
}

func (c *ControlPlane) apiServerFlags() []string {
	k := c.options.Keys
	return []string{
		"--etcd-servers=" + c.socket,
		"--etcd-compaction-interval=5m",
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", datadir.Port(c.options.Listener)),
		// A loopback endpoint is invalid, and without an address a machine that has no default
		// route would not start.
		"--endpoint-reconciler-type=none",
		"--advertise-address=127.0.0.1",
		"--tls-cert-file=" + k.Cert(leafServer),
		"--tls-private-key-file=" + k.Key(leafServer),
		"--client-ca-file=" + k.Cert(pki.CA),
		"--requestheader-client-ca-file=" + k.Cert(pki.FrontProxyCA),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + k.Cert(leafToExtension),
		"--proxy-client-key-file=" + k.Key(leafToExtension),
		"--kubelet-client-certificate=" + k.Cert(leafToKubelet),
		"--kubelet-client-key=" + k.Key(leafToKubelet),
		"--kubelet-certificate-authority=" + k.Cert(pki.CA),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + k.Public(),
		"--service-account-signing-key-file=" + k.Key(pki.ServiceAccount),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--enable-priority-and-fairness=false",
		"--profiling=false",
		"--event-ttl=6h",
	}
}

// For both: a lost lease would end the whole process by os.Exit, and nobody needs their ports.
func (c *ControlPlane) clientFlags(leaf string) []string {
	return []string{
		"--kubeconfig=" + c.kubeconfig(leaf),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--profiling=false",
	}
}

func (c *ControlPlane) startControllers(ctx context.Context) error {
	s, err := controllersoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	all, off, aliases := controllers.KnownControllers(), controllers.ControllersDisabledByDefault(),
		controllers.ControllerAliases()
	flags := s.Flags(all, off, aliases)
	if err := parse(flags.FlagSets, c.controllerFlags()...); err != nil {
		return err
	}
	s.ParsedFlags = &flags
	cfg, err := s.Config(ctx, all, off, aliases)
	if err != nil {
		return err
	}
	c.run(&c.clients, "kube-controller-manager", func(ctx context.Context) error {
		return controllers.Run(ctx, cfg.Complete())
	})
	c.options.Progress("kube-controller-manager is started")
	return nil
}

func (c *ControlPlane) controllerFlags() []string {
	k := c.options.Keys
	return append(c.clientFlags(leafControllers),
		"--kube-api-content-type=application/vnd.kubernetes.protobuf",
		"--service-account-private-key-file="+k.Key(pki.ServiceAccount),
		"--use-service-account-credentials=false",
		"--root-ca-file="+k.Cert(pki.CA),
		"--cluster-signing-cert-file="+k.Cert(pki.CA),
		"--cluster-signing-key-file="+k.Key(pki.CA),
		// Autoscalers that act within a test: the defaults look every 15 s and take no notice of a
		// pod's CPU in its first 5 minutes.
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=5s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=5s",
	)
}

func (c *ControlPlane) startScheduler(context.Context) error {
	s := scheduleroptions.NewOptions()
	if err := parse(s.Flags.FlagSets, c.clientFlags(leafScheduler)...); err != nil {
		return err
	}
	// Its informers live in this context, so it is the component's and not the start's.
	cfg, sched, err := scheduler.Setup(c.clients.ctx, s)
	if err != nil {
		return err
	}
	c.run(&c.clients, "kube-scheduler", func(ctx context.Context) error {
		return scheduler.Run(ctx, cfg, sched)
	})
	c.options.Progress("kube-scheduler is started")
	return nil
}
