// Package work writes the projects that the comparison renders: the same services for Kustomize and
// for Helm, in any number, always the same bytes.
package work

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// perService is how many objects a service brings. There is one Ingress for all.
const perService = 10

// Environments are what every project has.
var Environments = []string{"dev", "staging", "prod"}

// environment is what differs between environments, and nothing else does.
type environment struct {
	Name, Namespace, Host, Registry, Tag, LogLevel string
	Replicas, MaxReplicas                          int
	CPU, Memory                                    string
}

var environments = []environment{
	{"dev", "shop-dev", "shop.localhost", "k3d-registry.localhost:5000/acme", "dev", "debug", 1, 2, "50m", "64Mi"},
	{"staging", "shop-staging", "staging.shop.example", "ghcr.io/acme", "sha-1a2b3c4", "info", 2, 4, "100m", "128Mi"},
	{"prod", "shop", "shop.example", "ghcr.io/acme", "sha-0f9e8d7", "warn", 3, 9, "250m", "256Mi"},
}

// images are what the services run, in turn.
var images = []string{"web", "worker", "api"}

// service is one of many: its image, and the one that it calls.
type service struct {
	Name, Image, Calls string
	Port               int
}

// services returns as many as make up the number of objects.
func services(objects int) ([]service, error) {
	if objects < perService+1 || objects%perService != 1 {
		return nil, fmt.Errorf("%d objects: it takes %d a service and one more", objects, perService)
	}
	n := objects / perService
	out := make([]service, n)
	for i := range out {
		out[i] = service{
			Name:  fmt.Sprintf("svc-%03d", i),
			Image: images[i%len(images)],
			Calls: fmt.Sprintf("svc-%03d", (i+1)%n),
			Port:  8000 + i,
		}
	}
	return out, nil
}

// project collects the files of one folder. The first error stays.
type project struct {
	dir string
	err error
}

func (p *project) file(name, text string) {
	if p.err != nil {
		return
	}
	path := filepath.Join(p.dir, name)
	if p.err = os.MkdirAll(filepath.Dir(path), 0o755); p.err == nil {
		p.err = os.WriteFile(path, []byte(strings.TrimPrefix(text, "\n")), 0o644)
	}
}
