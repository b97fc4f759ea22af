package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices"

// breakAPI registers an API group whose server does not exist, as metrics.k8s.io without its Deployment, and
// returns it.
func (k *kept) breakAPI(t *testing.T) string {
	t.Helper()
	group := k.namespace + ".example.com"
	body := fmt.Sprintf(`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService",
		"metadata":{"name":"v1.%[1]s"},"spec":{"group":%[1]q,"version":"v1","groupPriorityMinimum":100,
		"versionPriority":100,"service":{"namespace":"default","name":"absent"},"insecureSkipTLSVerify":true}}`, group)
	server := k.client.CoreV1().RESTClient()
	if err := server.Post().AbsPath(apiServices).Body([]byte(body)).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := server.Delete().AbsPath(apiServices, "v1."+group).Do(context.Background()).Error()
		if err != nil {
			t.Error(err)
		}
	})
	// The aggregator has to know the group: it answers 404 before.
	for t.Context().Err() == nil {
		err := server.Get().AbsPath("/apis", group, "v1").Do(t.Context()).Error()
		if err != nil && strings.Contains(err.Error(), "currently unable to handle") {
			break
		}
	}
	return group
}

// An aggregated API is down, before the agent starts and while it runs. Everything else is deployed, repaired
// and pruned as ever; an object of its own kinds is refused, and prunes nothing.
func TestFault33AggregatedAPI(t *testing.T) { // not parallel: the group is broken for all
	k := newKept(t)
	group := k.breakAPI(t)
	k.write(t, "slipway.yaml", "project: shop\nenvironments:\n  test: {path: k8s, class: local}\n")
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	k.run(t, "onDrift: repair", "")
	k.log.await(t, "is release 1, healthy")

	maps := k.client.CoreV1().ConfigMaps(k.namespace)
	one, err := maps.Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	one.Data["a"] = "by hand"
	if _, err := maps.Update(t.Context(), one, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	k.log.await(t, "repaired: ConfigMap")

	k.write(t, "k8s/more.yaml", fmt.Sprintf("apiVersion: %s/v1\nkind: Gadget\nmetadata: {name: one}\n", group))
	k.push(t, "a kind of the group")
	k.log.await(t, "cannot be deployed")
	k.log.await(t, "the API server of "+group+"/v1 Gadget does not answer: ")
	if names := k.names(t); names != "one two" {
		t.Errorf("after the commit that was refused: %s", names)
	}

	// Without it, an object that left the source is pruned, and no other.
	k.write(t, "k8s/more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: three}\n")
	k.write(t, "k8s/app.yaml", strings.Replace(manifests, "name: two", "name: four", 1))
	k.push(t, "others")
	k.log.await(t, "is release 3, healthy")
	if names := k.names(t); names != "four one three" {
		t.Errorf("after the prune: %s", names)
	}
}

// names are those of the ConfigMaps of the environment.
func (k *kept) names(t *testing.T) string {
	t.Helper()
	list, err := k.client.CoreV1().ConfigMaps(k.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range list.Items {
		if m.Name != "kube-root-ca.crt" {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, " ")
}
