package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"time"
	"weak"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// servedTime is how old what is known of the server's kinds may be when a cluster is opened.
	servedTime = time.Minute
	// unknownTime is the same for a kind that the server does not serve: its definition may be new.
	unknownTime = 10 * time.Second
)

// Connections shares the connections to API servers, and what these serve, among the clusters that are opened
// with it. Only clusters with the same server, credentials and identity share. The zero value is ready for
// use.
type Connections struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]weak.Pointer[link]
}

// link is the access of one identity to one API server.
type link struct {
	server   string
	dynamic  dynamic.Interface
	metadata metadata.Interface
	typed    kubernetes.Interface
	served   *served
	clock    *clock
}

// reach returns the link of a configuration. Two configurations are the same where what says who the user is,
// and where the server is, is the same: credentials is that, in a form that JSON can hold.
func (s *Connections) reach(cfg *rest.Config, o Options, credentials any) (*link, error) {
	if s == nil {
		return newLink(cfg, o)
	}
	text, err := json.Marshal([]any{credentials, cfg.Impersonate})
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.open[key].Value(); known != nil {
		return known, nil
	}
	made, err := newLink(cfg, o)
	if err != nil {
		return nil, err
	}
	if s.open == nil {
		s.open = map[[sha256.Size]byte]weak.Pointer[link]{}
	}
	for k, l := range s.open {
		if l.Value() == nil {
			delete(s.open, k)
		}
	}
	s.open[key] = weak.Make(made)
	return made, nil
}

// credentialsOf is what a kubeconfig says of a server and a user. Client certificates and tokens that are
// files are read again by client-go when they change, the file of the authority is not.
func credentialsOf(server *clientapi.Cluster, user *clientapi.AuthInfo) (any, error) {
	var all struct {
		Server    clientapi.Cluster
		User      clientapi.AuthInfo
		Authority []byte
	}
	if server != nil {
		all.Server = *server
		all.Server.Extensions = nil
	}
	if user != nil {
		all.User = *user
		all.User.Extensions = nil
	}
	var err error
	if file := all.Server.CertificateAuthority; file != "" {
		all.Authority, err = os.ReadFile(file)
	}
	return all, err
}

func newLink(cfg *rest.Config, o Options) (*link, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // no rate of ours: the server says when it is busy, and Each bounds what is in flight
	cfg.UserAgent = Manager
	cfg.Dial = dial
	read := &clock{}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		read.next = next
		return &retrier{next: read, say: o.Warn, count: o.Count}
	})
	cfg.WarningHandlerWithContext = &warner{to: o.Warn}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	l := &link{server: cfg.Host, clock: read}
	if l.dynamic, err = dynamic.NewForConfigAndClient(cfg, client); err != nil {
		return nil, err
	}
	if l.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(cfg), client); err != nil {
		return nil, err
	}
	if l.typed, err = kubernetes.NewForConfigAndClient(cfg, client); err != nil {
		return nil, err
	}
	l.served = newServed(discovery.ToDiscoveryInterfaceWithContext(l.typed.Discovery()))
	return l, nil
}

// served is what an API server serves, as one identity sees it.
type served struct {
	discovery discovery.CachedDiscoveryInterfaceWithContext
	mapper    meta.ResettableRESTMapperWithContext

	mu sync.Mutex
	// since: nothing that is known is older.
	since time.Time
	// mappings are what the mapper has found: it searches all kinds each time, several times for each object.
	mappings *sync.Map
	version  *apiversion.Info // nil: not asked yet
}

func newServed(found discovery.DiscoveryInterfaceWithContext) *served {
	s := &served{discovery: memory.NewMemCacheClientWithContext(found), since: time.Now(), mappings: &sync.Map{}}
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapperWithContext(s.discovery)
	return s
}

// refresh forgets what is older than a time. It reports whether anything was.
func (s *served) refresh(ctx context.Context, oldest time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.Before(oldest) {
		return false
	}
	s.since, s.mappings, s.version = time.Now(), &sync.Map{}, nil
	s.mapper.ResetWithContext(ctx)
	return true
}

// find returns the mapping of a kind, in the preferred version when version is empty.
func (s *served) find(ctx context.Context, kind schema.GroupKind, version string) (*meta.RESTMapping, error) {
	s.mu.Lock()
	mappings := s.mappings // what is found now is of no use after a refresh
	s.mu.Unlock()
	key := kind.WithVersion(version)
	if m, ok := mappings.Load(key); ok {
		return m.(*meta.RESTMapping), nil
	}
	m, err := s.mapper.RESTMappingWithContext(ctx, kind, version)
	if err == nil {
		mappings.Store(key, m)
	}
	return m, err
}

// serverVersion returns the version of the server.
func (s *served) serverVersion(ctx context.Context) (*apiversion.Info, error) {
	s.mu.Lock()
	known := s.version
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	info, err := s.discovery.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = info
	return info, nil
}

// kinds returns what the server serves. It is as new as this cluster, but for servedTime.
func (c *Cluster) kinds(ctx context.Context) *served {
	c.served.refresh(ctx, c.opened.Add(-servedTime))
	return c.served
}

// Shares says that two clusters are the same access to the same namespace.
func (c *Cluster) Shares(o *Cluster) bool {
	return o != nil && c.link == o.link && c.namespace == o.namespace
}
