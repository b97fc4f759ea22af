package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/jsonpath"

	"slipway/internal/cluster/sandboxtest"
)

func asExit(err error, to *interface{ ExitCode() int }) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	*to = exit
	return true
}

// admin looks at a script's cluster, or changes it, behind slipway's back and as the administrator.
type admin struct {
	config *rest.Config
	prefix string // of the script's namespaces
}

func adminOf(ts *testscript.TestScript) admin {
	cfg, err := shared.Admin()
	ts.Check(err)
	return admin{cfg, ts.Getenv("PREFIX")}
}

// behind is the script command cluster as a program, for what a script's DO does.
func behind() {
	sandbox := sandboxtest.Sandbox{Kubeconfig: os.Getenv("KUBECONFIG")}
	cfg, err := sandbox.Admin()
	if err == nil {
		err = admin{cfg, os.Getenv("PREFIX")}.do(context.Background(), os.Stdout, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "behind:", err)
		os.Exit(1)
	}
}

// cmdCluster looks at the cluster, or changes it:
//
//	cluster get ENV KIND/NAME [JSONPATH]   prints; with ! it must not be there
//	cluster list ENV KIND                  prints the names
//	cluster patch ENV KIND/NAME JSON       merge patch as field manager "kubectl-edit"
//	cluster create ENV KIND/NAME JSON      creates from the rest of the object
//	cluster delete ENV KIND/NAME
//	cluster versions ENV [KIND…]           prints each object's resourceVersion
//	cluster forbid ENV CEL [MESSAGE]       refuses the environment's user what the expression says;
//	                                       the message is an expression too
//	cluster allow ENV                      takes that back
func cmdCluster(ts *testscript.TestScript, neg bool, args []string) {
	err := adminOf(ts).do(context.Background(), ts.Stdout(), args)
	if neg && len(args) > 0 && args[0] == "get" {
		if !apierrors.IsNotFound(err) {
			ts.Fatalf("%s is there (%v)", args[2], err)
		}
		return
	}
	ts.Check(err)
}

func (a admin) do(ctx context.Context, w io.Writer, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "versions":
		return a.printVersions(ctx, w, args[1], "secret", "lease", "configmap", "service",
			"deployment", "replicaset")
	case len(args) > 2 && args[0] == "versions":
		return a.printVersions(ctx, w, args[1], args[2:]...)
	case len(args) == 3 && args[0] == "forbid":
		return a.forbid(ctx, args[1], args[2], `"the script forbids it"`)
	case len(args) == 4 && args[0] == "forbid":
		return a.forbid(ctx, args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "allow":
		return a.allow(ctx, args[1])
	case len(args) < 3:
		return errors.New("usage: cluster get|list|patch|create|delete|versions|forbid|allow ENV …")
	}
	kind, nameOf, _ := strings.Cut(args[2], "/")
	r, gvk, err := a.resource(args[1], kind)
	if err != nil {
		return err
	}
	switch args[0] {
	case "get":
		o, err := r.Get(ctx, nameOf, metav1.GetOptions{})
		if err != nil {
			return err
		}
		path := "{}"
		if len(args) > 3 {
			path = "{" + args[3] + "}"
		}
		text, err := query(o.Object, path)
		fmt.Fprintln(w, text)
		return err
	case "list":
		l, err := r.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range l.Items {
			fmt.Fprintln(w, o.GetName())
		}
		return nil
	case "patch":
		_, err := r.Patch(ctx, nameOf, types.MergePatchType, []byte(args[3]),
			metav1.PatchOptions{FieldManager: "kubectl-edit"})
		return err
	case "create":
		o := &unstructured.Unstructured{Object: map[string]any{}}
		if err := json.Unmarshal([]byte(args[3]), &o.Object); err != nil {
			return err
		}
		o.SetGroupVersionKind(gvk)
		o.SetName(nameOf)
		_, err := r.Create(ctx, o, metav1.CreateOptions{FieldManager: "kubectl-create"})
		return err
	case "delete":
		return r.Delete(ctx, nameOf, metav1.DeleteOptions{})
	}
	return fmt.Errorf("cluster: unknown verb %s", args[0])
}

// printVersions shows whether anything was written to what a deploy and its record consist of.
func (a admin) printVersions(ctx context.Context, w io.Writer, env string, kinds ...string) error {
	for _, kind := range kinds {
		r, gvk, err := a.resource(env, kind)
		if err != nil {
			return err
		}
		l, err := r.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range l.Items {
			fmt.Fprintln(w, gvk.Kind, o.GetName(), o.GetResourceVersion())
		}
	}
	return nil
}

// resource is the client for a kind in an environment's namespace, or cluster-wide.
func (a admin) resource(env, kind string) (dynamic.ResourceInterface, schema.GroupVersionKind, error) {
	none := schema.GroupVersionKind{}
	dc, err := discovery.NewDiscoveryClientForConfig(a.config)
	if err != nil {
		return nil, none, err
	}
	cached := memory.NewMemCacheClient(dc)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	gvk, err := mapper.KindFor(schema.ParseGroupResource(strings.ToLower(kind)).WithVersion(""))
	if err != nil {
		return nil, none, err
	}
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, none, err
	}
	client, err := dynamic.NewForConfig(a.config)
	if err != nil {
		return nil, none, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return client.Resource(mapping.Resource).Namespace(a.prefix + "-" + env), gvk, nil
	}
	return client.Resource(mapping.Resource), gvk, nil
}

// forbid has the API server itself refuse requests of the environment's user, in its namespace: what
// gets through all the same was written.
func (a admin) forbid(ctx context.Context, env, cel, message string) error {
	namespace := a.prefix + "-" + env
	cs, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return err
	}
	refused := metav1.StatusReasonForbidden
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.OperationAll},
					Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"},
						Resources: []string{"*"}},
				}}},
			},
			MatchConditions: []admissionv1.MatchCondition{{Name: "user",
				Expression: fmt.Sprintf("request.userInfo.username == %q", deployerOf(namespace))}},
			Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("!(request.name == %q || (%s))", probe,
				cel), MessageExpression: message, Reason: &refused}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	if _, err := cs.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, policy,
		metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := cs.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, binding,
		metav1.CreateOptions{}); err != nil {
		return err
	}
	return a.untilForbidden(ctx, namespace, true)
}

func (a admin) allow(ctx context.Context, env string) error {
	cs, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return err
	}
	namespace := a.prefix + "-" + env
	if err := cs.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(ctx, namespace,
		metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := cs.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(ctx, namespace,
		metav1.DeleteOptions{}); err != nil {
		return err
	}
	return a.untilForbidden(ctx, namespace, false)
}

// probe is the name of an object that every policy of forbid refuses, so as to see it in force.
const probe = "is-it-forbidden"

func deployerOf(namespace string) string { return "system:serviceaccount:" + namespace + ":deployer" }

// untilForbidden waits until the API server has taken note of a policy, or of its end.
func (a admin) untilForbidden(ctx context.Context, namespace string, want bool) error {
	cfg := rest.CopyConfig(a.config)
	cfg.Impersonate.UserName = deployerOf(namespace)
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := cs.CoreV1().ConfigMaps(namespace).Create(ctx,
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: probe}},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		if (err != nil) == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func query(v any, path string) (string, error) {
	if path == "{}" {
		b, err := json.Marshal(v)
		return string(b), err
	}
	p := jsonpath.New("query").AllowMissingKeys(true)
	if err := p.Parse(path); err != nil {
		return "", err
	}
	var b strings.Builder
	err := p.Execute(&b, v)
	return b.String(), err
}

// cmdUntil repeats a look until it shows a text:
//
//	until TEXT get ENV KIND/NAME JSONPATH   as cluster get; NAME * is every one
//	until TEXT exec COMMAND [ARG…]          whatever its exit code
//	until TEXT forge WHAT [REPOSITORY]      as forge
//	until TEXT page FILE PATH               as page
//	until TEXT visit LOG WHO PATH           as visit
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || !slices.Contains([]string{"exec", "get", "forge", "page", "visit"}, args[1]) {
		ts.Fatalf("usage: until TEXT get ENV KIND/NAME JSONPATH, or until TEXT exec COMMAND [ARG...]")
	}
	pause := 200 * time.Millisecond // each try is in the script's log
	look := func() string {
		_ = ts.Exec(args[2], args[3:]...)
		return ts.ReadFile("stdout")
	}
	if args[1] == "forge" {
		look, pause = func() string { return lookAtForge(ts, args[2:]) }, 50*time.Millisecond
	}
	if args[1] == "page" {
		look = func() string { return askPage(ts, args[2:]).text }
	}
	if args[1] == "visit" {
		look = func() string {
			_, text := askAgent(ts, args[2:])
			return text
		}
	}
	if args[1] == "get" {
		kind, nameOf, _ := strings.Cut(args[3], "/")
		r, _, err := adminOf(ts).resource(args[2], kind)
		ts.Check(err)
		look = func() string { return lookAt(ts, r, nameOf, args[4]) }
		pause = 50 * time.Millisecond
	}
	deadline, tick := time.After(60*time.Second), time.NewTicker(pause)
	defer tick.Stop()
	for {
		last := look()
		if strings.Contains(last, args[0]) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s never said %q; last: %s", strings.Join(args[2:], " "), args[0], last)
		case <-tick.C:
		}
	}
}

// lookAt queries one object, or every one of a kind; nothing where there is none. A query may fail because the
// object lacks a list so far: the caller looks again.
func lookAt(ts *testscript.TestScript, r dynamic.ResourceInterface, nameOf, path string) string {
	var objects []unstructured.Unstructured
	if nameOf == "*" {
		l, err := r.List(context.Background(), metav1.ListOptions{})
		ts.Check(err)
		objects = l.Items
	} else if o, err := r.Get(context.Background(), nameOf, metav1.GetOptions{}); err == nil {
		objects = append(objects, *o)
	}
	var b strings.Builder
	for _, o := range objects {
		text, err := query(o.Object, "{"+path+"}")
		if err != nil {
			text = err.Error()
		}
		fmt.Fprintln(&b, text)
	}
	return b.String()
}
