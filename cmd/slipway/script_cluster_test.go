package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/jsonpath"
)

func asExit(err error, to *interface{ ExitCode() int }) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	*to = exit
	return true
}

// cmdCluster looks at the cluster, or changes it, behind slipway's back and as the administrator:
//
//	cluster get ENV KIND/NAME [JSONPATH]   prints; with ! it must not be there
//	cluster list ENV KIND                  prints the names
//	cluster patch ENV KIND/NAME JSON       merge patch as field manager "kubectl-edit"
//	cluster create ENV KIND/NAME JSON      creates from the rest of the object
//	cluster delete ENV KIND/NAME
//	cluster versions ENV                   prints each object's resourceVersion
func cmdCluster(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 && args[0] == "versions" {
		printVersions(ts, args[1])
		return
	}
	if len(args) < 3 {
		ts.Fatalf("usage: cluster get|list|patch|create|delete ENV KIND/NAME …")
	}
	kind, nameOf, _ := strings.Cut(args[2], "/")
	r, gvk := resource(ts, args[1], kind)
	ctx := context.Background()
	switch args[0] {
	case "get":
		o, err := r.Get(ctx, nameOf, metav1.GetOptions{})
		if neg {
			if !apierrors.IsNotFound(err) {
				ts.Fatalf("%s is there (%v)", args[2], err)
			}
			return
		}
		ts.Check(err)
		path := "{}"
		if len(args) > 3 {
			path = "{" + args[3] + "}"
		}
		fmt.Fprintln(ts.Stdout(), query(ts, o.Object, path))
	case "list":
		l, err := r.List(ctx, metav1.ListOptions{})
		ts.Check(err)
		for _, o := range l.Items {
			fmt.Fprintln(ts.Stdout(), o.GetName())
		}
	case "patch":
		_, err := r.Patch(ctx, nameOf, types.MergePatchType, []byte(args[3]), metav1.PatchOptions{FieldManager: "kubectl-edit"})
		ts.Check(err)
	case "create":
		o := &unstructured.Unstructured{Object: map[string]any{}}
		ts.Check(json.Unmarshal([]byte(args[3]), &o.Object))
		o.SetGroupVersionKind(gvk)
		o.SetName(nameOf)
		_, err := r.Create(ctx, o, metav1.CreateOptions{FieldManager: "kubectl-create"})
		ts.Check(err)
	case "delete":
		ts.Check(r.Delete(ctx, nameOf, metav1.DeleteOptions{}))
	default:
		ts.Fatalf("cluster: unknown verb %s", args[0])
	}
}

// printVersions shows whether anything was written to what a deploy and its record consist of.
func printVersions(ts *testscript.TestScript, env string) {
	for _, kind := range []string{"secret", "lease", "configmap", "service", "deployment", "replicaset"} {
		r, gvk := resource(ts, env, kind)
		l, err := r.List(context.Background(), metav1.ListOptions{})
		ts.Check(err)
		for _, o := range l.Items {
			fmt.Fprintln(ts.Stdout(), gvk.Kind, o.GetName(), o.GetResourceVersion())
		}
	}
}

// resource is the client for a kind in an environment's namespace, or cluster-wide.
func resource(ts *testscript.TestScript, env, kind string) (dynamic.ResourceInterface, schema.GroupVersionKind) {
	cfg, err := shared.Admin()
	ts.Check(err)
	dc, err := discovery.NewDiscoveryClientForConfig(cfg)
	ts.Check(err)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(dc)), memory.NewMemCacheClient(dc), nil)
	gvk, err := mapper.KindFor(schema.ParseGroupResource(strings.ToLower(kind)).WithVersion(""))
	ts.Check(err)
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	ts.Check(err)
	client, err := dynamic.NewForConfig(cfg)
	ts.Check(err)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return client.Resource(mapping.Resource).Namespace(ts.Getenv("PREFIX") + "-" + env), gvk
	}
	return client.Resource(mapping.Resource), gvk
}

func query(ts *testscript.TestScript, v any, path string) string {
	if path == "{}" {
		b, err := json.Marshal(v)
		ts.Check(err)
		return string(b)
	}
	p := jsonpath.New("query").AllowMissingKeys(true)
	ts.Check(p.Parse(path))
	var b strings.Builder
	ts.Check(p.Execute(&b, v))
	return b.String()
}

// cmdUntil repeats a look until it shows a text:
//
//	until TEXT get ENV KIND/NAME JSONPATH   as cluster get; NAME * is every one
//	until TEXT exec COMMAND [ARG…]          whatever its exit code
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "exec" && (args[1] != "get" || len(args) != 5) {
		ts.Fatalf("usage: until TEXT get ENV KIND/NAME JSONPATH, or until TEXT exec COMMAND [ARG...]")
	}
	pause := 200 * time.Millisecond // each try is in the script's log
	look := func() string {
		_ = ts.Exec(args[2], args[3:]...)
		return ts.ReadFile("stdout")
	}
	if args[1] == "get" {
		kind, nameOf, _ := strings.Cut(args[3], "/")
		r, _ := resource(ts, args[2], kind)
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

// lookAt queries one object, or every one of a kind; nothing where there is none.
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
		fmt.Fprintln(&b, query(ts, o.Object, "{"+path+"}"))
	}
	return b.String()
}

// cmdRegistry looks into the registry, or pushes a small image that nobody built:
//
//	registry push REPOSITORY:TAG [LABEL=VALUE…]
//	registry tags REPOSITORY
//	registry labels REPOSITORY               prints "TAG LABEL=VALUE" lines
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: registry push|tags|labels …")
	}
	at := shared.Registry + "/" + args[1]
	switch args[0] {
	case "push":
		img, err := random.Image(64, 1)
		ts.Check(err)
		cfg, err := img.ConfigFile()
		ts.Check(err)
		cfg = cfg.DeepCopy()
		cfg.OS, cfg.Architecture = "linux", "amd64"
		cfg.Config.Labels = map[string]string{}
		for _, l := range args[2:] {
			k, v, _ := strings.Cut(l, "=")
			cfg.Config.Labels[k] = v
		}
		img, err = mutate.ConfigFile(img, cfg)
		ts.Check(err)
		ref, err := name.ParseReference(at, name.Insecure)
		ts.Check(err)
		ts.Check(remote.Write(ref, img))
	case "tags":
		repo, err := name.NewRepository(at, name.Insecure)
		ts.Check(err)
		tags, err := remote.List(repo)
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), strings.Join(tags, "\n"))
	case "labels":
		repo, err := name.NewRepository(at, name.Insecure)
		ts.Check(err)
		tags, err := remote.List(repo)
		ts.Check(err)
		for _, tag := range tags {
			printLabels(ts, repo.Tag(tag))
		}
	default:
		ts.Fatalf("registry: unknown verb %s", args[0])
	}
}

func printLabels(ts *testscript.TestScript, tag name.Tag) {
	img, err := remote.Image(tag)
	ts.Check(err)
	cfg, err := img.ConfigFile()
	ts.Check(err)
	for _, k := range slices.Sorted(maps.Keys(cfg.Config.Labels)) {
		fmt.Fprintf(ts.Stdout(), "%s %s=%s\n", tag.TagStr(), k, cfg.Config.Labels[k])
	}
}
