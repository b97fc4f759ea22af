package agent

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/agent/notify"
	"slipway/internal/git/credential"
	"slipway/internal/git/forge"
	"slipway/internal/project"
)

// Config is what an agent keeps equal. The zero values of the fields are not valid: Parse fills them in.
type Config struct {
	Repositories []Repository `yaml:"repositories"`
	// Listen is HOST:PORT for webhooks, metrics, health and the status; empty: nothing is served.
	Listen string `yaml:"listen"`
	// UI has the agent serve the web UI, too; nil: it does not.
	UI *UI `yaml:"ui"`
	// Lease has the replicas of an agent choose the one that acts; nil: this agent runs alone.
	Lease *Lease `yaml:"lease"`
	// PreviewRole is a ClusterRole that the agent binds to itself in the namespace of each preview; empty: it
	// has the permissions there already.
	PreviewRole string `yaml:"previewRole"`
	// State is a directory for clones; empty: a temporary one, which is made anew at each start.
	State string `yaml:"state"`
	// Limits bound what the repositories may need.
	Limits Limits `yaml:"limits"`
	// Notifications are who is told of decisions.
	Notifications []notify.Receiver `yaml:"notifications"`
}

// Limits bound what a repository of others may need. A zero is the default.
type Limits struct {
	// CloneSize is how large the clone of a repository may be, and that of each submodule; 1 GiB.
	CloneSize Quantity `yaml:"cloneSize"`
	// RenderMemory and RenderTime are what reading or rendering one environment may take; 1 GiB, 2 minutes.
	RenderMemory Quantity `yaml:"renderMemory"`
	RenderTime   Duration `yaml:"renderTime"`
}

// Lease names the Lease that the replicas of an agent compete for.
type Lease struct {
	// Context is the kubeconfig context of its cluster; empty: the cluster of the pod.
	Context   string `yaml:"context"`
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

// Repository is a branch of a Git repository, and the environments that follow it.
type Repository struct {
	URL    string `yaml:"url"`
	Branch string `yaml:"branch"` // "main" unless given
	// Path is the project's directory in the repository; empty: its root.
	Path string `yaml:"path"`
	// Submodules is Refuse unless given.
	Submodules string `yaml:"submodules"`
	// Credentials are how the repository is reached; nil: outside a cluster as git does it by itself.
	Credentials *Credentials `yaml:"credentials"`
	// Keys are files with public keys. One of them must have signed the rendered set of an oci:// URL.
	Keys []string `yaml:"keys"`
	// Signers are who may sign its commits; nil: commits need no signature.
	Signers *Signers `yaml:"signers"`
	// Interval is how often the branch is asked for; 15 s unless given.
	Interval Duration `yaml:"interval"`
	// WebhookSecret is a file with the secret that webhooks are signed with; empty: no webhook is taken.
	WebhookSecret string `yaml:"webhookSecret"`
	// Forge is where pull requests are opened; nil: branches are pushed, and a person opens them. Without a
	// token of its own it has those of the GitHub App of Credentials.
	Forge *forge.Forge `yaml:"forge"`
	// Verdicts are published as Git notes; nil: they are not.
	Verdicts *Verdicts `yaml:"verdicts"`
	// Publish is how verdicts are published at the forge: StatusVerdicts, DeploymentVerdicts.
	Publish []string `yaml:"publish"`
	// Previews are environments of pull requests; nil: there are none.
	Previews     *Previews              `yaml:"previews"`
	Environments map[string]Environment `yaml:"environments"`
}

// Environment is the policy for an environment of the repository's slipway.yaml.
type Environment struct {
	// Context is the kubeconfig context, instead of the project's; empty without a kubeconfig: the cluster
	// of the pod. Namespace replaces the project's.
	Context   string `yaml:"context"`
	Namespace string `yaml:"namespace"`
	// ServiceAccount of the namespace is what the agent acts as; empty: as itself.
	ServiceAccount string `yaml:"serviceAccount"`
	// OnCommit is Deploy unless given, OnDrift Report, WriteBack Never.
	OnCommit  string `yaml:"onCommit"`
	OnDrift   string `yaml:"onDrift"`
	WriteBack string `yaml:"writeBack"`
	// Promote is Never unless given: Push and PullRequest write what the gates of slipway.yaml let through
	// into the environment's files.
	Promote string `yaml:"promote"`
	// OnPullRequest is Never unless given: Plan comments on pull requests what merging them would change.
	OnPullRequest string `yaml:"onPullRequest"`
	// TakeOver deploys an environment that Argo CD or Flux keeps, too.
	TakeOver bool `yaml:"takeOver"`
	// After names environments that must be healthy at the same commit before it is deployed; those of other
	// repositories must be healthy at their own.
	After []string `yaml:"after"`
	// Windows are when new commits are deployed, and RepairWindows when drift is repaired; none: always.
	Windows       []project.Window `yaml:"windows"`
	RepairWindows []project.Window `yaml:"repairWindows"`
	// WatchWindow is how long a healthy release is watched; 10 minutes unless given.
	WatchWindow Duration `yaml:"watchWindow"`
}

// The policies.
const (
	Deploy = "deploy" // a new commit is deployed
	Ask    = "ask"    // a person deploys it
	Repair = "repair" // changes in the cluster are repaired
	Report = "report" // it is shown alone
	Push   = "push"   // a commit that failed is reverted on its branch
	Never  = "never"  // it is held back alone
	// PullRequest proposes the revert, or the promotion, on a branch of its own.
	PullRequest = "pull-request"
	Plan        = "plan"   // what a pull request would change is a comment on it
	Refuse      = "refuse" // submodules are not fetched
	Allow       = "allow"  // those of the same server are
)

// Quantity is a number of bytes written as Kubernetes does, such as "2Gi".
type Quantity int64

// UnmarshalYAML reads a quantity.
func (q *Quantity) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := resource.ParseQuantity(n.Value)
	if err != nil || parsed.Value() < 1<<20 {
		return fmt.Errorf("line %d: want a size of at least 1Mi, such as 2Gi, not %q", n.Line, n.Value)
	}
	*q = Quantity(parsed.Value())
	return nil
}

// Duration is a time.Duration written as "15s".
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := time.ParseDuration(n.Value)
	if err != nil || parsed < 100*time.Millisecond {
		return fmt.Errorf("line %d: want a duration of at least 100ms, such as 15s, not %q", n.Line, n.Value)
	}
	*d = Duration(parsed)
	return nil
}

const defaultInterval = Duration(15 * time.Second)

// Parse reads a configuration. Unknown keys are errors, each with its line.
func Parse(text []byte) (Config, error) {
	var c Config
	stream := yaml.NewDecoder(bytes.NewReader(text))
	stream.KnownFields(true)
	if err := stream.Decode(&c); errors.Is(err, io.EOF) {
		return c, errors.New("the file is empty: it needs repositories")
	} else if err != nil {
		return c, readable(err)
	}
	if len(c.Repositories) == 0 {
		return c, errors.New("it names no repositories")
	}
	if l := c.Lease; l != nil && (l.Namespace == "" || l.Name == "") {
		return c, errors.New("lease: namespace and name are required")
	}
	if c.UI != nil {
		if err := c.UI.complete(); err != nil {
			return c, fmt.Errorf("ui: %w", err)
		}
	}
	for i := range c.Repositories {
		if err := c.Repositories[i].complete(); err != nil {
			return c, fmt.Errorf("repositories[%d]: %w", i, err)
		}
	}
	for i, r := range c.Notifications {
		if err := c.checkReceiver(r); err != nil {
			return c, fmt.Errorf("notifications[%d]: %w", i, err)
		}
	}
	return c, cmp.Or(c.checkShared(), c.checkAfter())
}

// checkShared fails where entries of the same repository have different credentials, or other submodules: it
// is read once for all.
func (c Config) checkShared() error {
	with, first := map[string]int{}, map[string]int{}
	for i, r := range c.Repositories {
		if j, shared := first[sameRepository(r.URL)]; !shared {
			first[sameRepository(r.URL)] = i
		} else if r.Submodules != c.Repositories[j].Submodules {
			return fmt.Errorf("repositories[%d]: the same repository as repositories[%d], with other submodules",
				i, j)
		}
		j, shared := with[sameRepository(r.URL)]
		switch {
		case r.isBundle() && first[sameRepository(r.URL)] != i:
			return fmt.Errorf("repositories[%d]: the same rendered set as repositories[%d]", i,
				first[sameRepository(r.URL)])
		case r.Credentials == nil:
		case !shared:
			with[sameRepository(r.URL)] = i
		case !reflect.DeepEqual(r.Credentials, c.Repositories[j].Credentials):
			return fmt.Errorf("repositories[%d]: the same repository as repositories[%d], with other credentials",
				i, j)
		}
	}
	return nil
}

func (r *Repository) complete() error {
	if r.isBundle() {
		if err := r.completeBundle(); err != nil {
			return err
		}
	}
	r.Branch, r.Interval = cmp.Or(r.Branch, "main"), cmp.Or(r.Interval, defaultInterval)
	r.Submodules = cmp.Or(r.Submodules, Refuse)
	switch {
	case len(r.Keys) > 0 && !r.isBundle():
		return errors.New("keys: only for an oci:// url; use signers for commits in Git")
	case r.URL == "":
		return errors.New("url is missing")
	case strings.HasPrefix(r.URL, "-") || strings.HasPrefix(r.Branch, "-"):
		return errors.New("url and branch must not begin with a dash")
	case len(r.Environments) == 0:
		return errors.New("environments is empty: name those of the repository's slipway.yaml")
	case r.Submodules != Refuse && r.Submodules != Allow:
		return fmt.Errorf("submodules: want %s or %s, not %q", Refuse, Allow, r.Submodules)
	case r.Signers != nil && r.Signers.AllowedSigners == "" && r.Signers.OpenPGP == "":
		return errors.New("signers: want allowedSigners, openpgp or both")
	}
	if r.Credentials != nil {
		if err := r.Credentials.check(r.URL); err != nil {
			return err
		}
	}
	if r.Verdicts != nil && r.Verdicts.KeyFile == "" {
		return errors.New("verdicts: keyFile is missing")
	}
	if r.Forge != nil {
		if err := r.completeForge(); err != nil {
			return fmt.Errorf("forge: %w", err)
		}
	}
	if r.Previews != nil {
		if err := r.Previews.complete(r); err != nil {
			return fmt.Errorf("previews: %w", err)
		}
	}
	if err := r.checkPublish(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for name, e := range r.Environments {
		e.OnCommit = cmp.Or(e.OnCommit, Deploy)
		e.WatchWindow = cmp.Or(e.WatchWindow, defaultWindow)
		e.OnDrift, e.WriteBack = cmp.Or(e.OnDrift, Report), cmp.Or(e.WriteBack, Never)
		e.Promote, e.OnPullRequest = cmp.Or(e.Promote, Never), cmp.Or(e.OnPullRequest, Never)
		for _, p := range []struct {
			key, value string
			known      []string
		}{
			{"onCommit", e.OnCommit, []string{Deploy, Ask}}, {"onDrift", e.OnDrift, []string{Repair, Report}},
			{"writeBack", e.WriteBack, []string{Push, PullRequest, Never}},
			{"promote", e.Promote, []string{Push, PullRequest, Never}},
			{"onPullRequest", e.OnPullRequest, []string{Plan, Never}},
		} {
			if !slices.Contains(p.known, p.value) {
				return fmt.Errorf("environments.%s.%s: want %s, not %q", name, p.key, strings.Join(p.known, " or "),
					p.value)
			}
		}
		if e.OnPullRequest == Plan && r.Forge == nil {
			return fmt.Errorf("environments.%s.onPullRequest: forge is missing", name)
		}
		r.Environments[name] = e
	}
	return nil
}

// completeForge fills in what the URL and the credentials of the repository tell.
func (r *Repository) completeForge() error {
	f, app := r.Forge, r.Forge.GitHubApp
	if c := r.Credentials; c != nil && f.TokenFile == "" && app == nil {
		f.GitHubApp = c.GitHubApp
	}
	err := f.Complete(r.URL)
	if app != nil {
		app.API = cmp.Or(app.API, f.API)
	}
	return err
}

// checkPublish fails where verdicts cannot be published as the entry says.
func (r *Repository) checkPublish() error {
	for _, where := range r.Publish {
		switch {
		case where != StatusVerdicts && where != DeploymentVerdicts:
			return fmt.Errorf("want %s or %s, not %q", StatusVerdicts, DeploymentVerdicts, where)
		case r.Forge == nil:
			return errors.New("forge is missing")
		case where == DeploymentVerdicts && r.Forge.Kind == forge.Gitea:
			return fmt.Errorf("%s has no deployments: want %s", r.Forge.Kind, StatusVerdicts)
		}
	}
	return nil
}

var unknownField = regexp.MustCompile(
	`^line (\d+): field (\S+) not found in type (?:agent|credential|forge|notify)\.(\w+)$`)

// readable says in the words of the file what the YAML library says in those of Go.
func readable(err error) error {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	m := unknownField.FindStringSubmatch(typed.Errors[0])
	if m == nil {
		return errors.New(typed.Errors[0])
	}
	var known []string
	for _, t := range []any{
		Config{}, Limits{}, Lease{}, Repository{}, Environment{}, Credentials{}, credential.App{}, Signers{},
		Verdicts{}, Previews{}, UI{}, OIDC{}, forge.Forge{}, notify.Receiver{},
	} {
		if of := reflect.TypeOf(t); of.Name() == m[3] {
			for i := range of.NumField() {
				if key := of.Field(i).Tag.Get("yaml"); key != "-" && key != "" {
					known = append(known, key)
				}
			}
		}
	}
	hint := "known: " + strings.Join(known, ", ")
	if s := project.Suggest(m[2], known); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	return fmt.Errorf("line %s: unknown key %q (%s)", m[1], m[2], hint)
}
