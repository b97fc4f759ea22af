package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Previews are environments of pull requests that have a label.
type Previews struct {
	// Label is "preview" unless given, and Environment, that of the pull request's slipway.yaml, too.
	Label       string `yaml:"label"`
	Environment string `yaml:"environment"`
	// Context is the kubeconfig context; empty: the cluster of the pod.
	Context string `yaml:"context"`
	// Namespace is what the namespaces begin with: the number of the pull request follows.
	Namespace string `yaml:"namespace"`
	// TimeToLive is how long a preview stays after a push; 72 hours unless given.
	TimeToLive Duration `yaml:"timeToLive"`
	// Most is how many there are at a time; 5 unless given.
	Most int `yaml:"most"`
	// Quota is the "hard" of the ResourceQuota of each namespace; 20 pods unless given.
	Quota map[string]string `yaml:"quota"`
	// URL is the address of a preview, with {number} in place of that of the pull request; empty: the hosts of
	// its Ingresses.
	URL string `yaml:"url"`
}

const (
	defaultTimeToLive = Duration(72 * time.Hour)
	defaultPreviews   = 5
	defaultPods       = "20"
)

// previewPrefix leaves room for a number in the name of a namespace.
var previewPrefix = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,50}-$`)

// complete fills in the defaults.
func (p *Previews) complete(r *Repository) error {
	p.Label, p.Environment = cmp.Or(p.Label, "preview"), cmp.Or(p.Environment, "preview")
	p.TimeToLive, p.Most = cmp.Or(p.TimeToLive, defaultTimeToLive), cmp.Or(p.Most, defaultPreviews)
	if len(p.Quota) == 0 {
		p.Quota = map[string]string{"pods": defaultPods}
	}
	switch {
	case r.Forge == nil:
		return errors.New("forge is missing")
	case !previewPrefix.MatchString(p.Namespace):
		return fmt.Errorf("namespace: want what the namespaces begin with, such as shop-pr-, not %q", p.Namespace)
	case p.Most < 1:
		return fmt.Errorf("most: want a number of at least 1, not %d", p.Most)
	}
	for name := range maps.Keys(p.Quota) {
		if _, err := resource.ParseQuantity(p.Quota[name]); err != nil {
			return fmt.Errorf("quota.%s: want a quantity such as 4 or 2Gi, not %q", name, p.Quota[name])
		}
	}
	return nil
}
