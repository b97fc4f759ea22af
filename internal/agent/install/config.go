package install

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"slipway/internal/agent"
	"slipway/internal/project"
)

// SecretDirectory is where the pods of an agent have Secrets of its namespace: a configuration names the
// key KEY of the Secret NAME as SecretDirectory + "/NAME/KEY".
const SecretDirectory = "/etc/slipway-secrets"

const (
	listenAddress  = ":9090"
	stateDirectory = "/var/lib/slipway"
)

// written is a configuration that the user wrote, for `agent run`.
type written struct {
	agent.Config
	text   string // with the keys that the installation decides
	mounts []mount
}

// read reads the configuration. It fails with an *InvalidError where that cannot run in the pods.
func (o Options) read() (written, error) {
	fail := func(format string, args ...any) (written, error) {
		return written{}, &InvalidError{"--config", fmt.Sprintf(format, args...)}
	}
	c, err := agent.Parse(o.Config)
	if err != nil {
		return fail("%v", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(o.Config, &doc); err != nil {
		return fail("%v", err)
	}
	w := written{Config: c}
	if w.mounts, err = secretsIn(&doc); err != nil {
		return fail("%v", err)
	}
	switch {
	case c.Listen != "" && c.Listen != listenAddress:
		return fail("listen: the pods listen on %s: remove the key", listenAddress)
	case c.State != "" && c.State != stateDirectory:
		return fail("state: the pods have %s: remove the key", stateDirectory)
	case c.Lease != nil && (c.Lease.Namespace != o.Namespace || c.Lease.Name != o.Name || c.Lease.Context != ""):
		return fail("lease: it is %s of namespace %s: remove the key", o.Name, o.Namespace)
	}
	if c.UI != nil && c.UI.Context != "" {
		return fail("ui.context: the cluster of the pods reviews the tokens: remove the key")
	}
	previews := slices.ContainsFunc(c.Repositories, func(r agent.Repository) bool { return r.Previews != nil })
	role := newRules(o).previewRole()
	if c.PreviewRole != "" && c.PreviewRole != role {
		return fail("previewRole: it is %s: remove the key", role)
	}
	for _, r := range c.Repositories {
		if r.Previews != nil && r.Previews.Context != "" {
			return fail("previews.context: the agent runs in the cluster of its previews: remove the key")
		}
		for name, e := range r.Environments {
			if e.Context != "" {
				return fail("environments.%s.context: the agent runs in the cluster of its environments: remove the "+
					"key", name)
			}
		}
	}
	fixed := []struct {
		absent      bool
		key, values string
	}{
		{c.Listen == "", "listen", strconv.Quote(listenAddress)}, {c.State == "", "state", stateDirectory},
		{c.Lease == nil, "lease", fmt.Sprintf("{namespace: %s, name: %s}", o.Namespace, o.Name)},
		{previews && c.PreviewRole == "", "previewRole", role},
	}
	w.text = strings.TrimRight(string(o.Config), "\n") + "\n"
	for _, f := range fixed {
		if f.absent {
			w.text += f.key + ": " + f.values + "\n"
		}
	}
	if _, err = agent.Parse([]byte(w.text)); err != nil { // as a document that ends with "..."
		return fail("%s cannot be added at its end: %v", "listen, state, lease and previewRole", err)
	}
	return w, nil
}

// urls are what the agent connects to.
func (w written) urls() []string {
	var all []string
	for _, r := range w.Repositories {
		all = append(all, r.URL)
		if r.Forge != nil {
			all = append(all, r.Forge.API)
		}
	}
	if w.UI != nil && w.UI.OIDC != nil {
		all = append(all, w.UI.OIDC.Issuer)
	}
	return all
}

// placed returns an environment with the namespace that the configuration has it in.
func (w written) placed(env project.Environment) (project.Environment, error) {
	for _, r := range w.Repositories {
		if e, ok := r.Environments[env.Name]; ok {
			if e.Namespace != "" {
				env.Namespace = e.Namespace
			}
			return env, nil
		}
	}
	return env, &InvalidError{"environment " + env.Name, "it is not in the configuration of --config"}
}

// others are the environments of the configuration that are not installed for.
func (w written) others(names []string) (notes []string) {
	for _, r := range w.Repositories {
		for _, name := range slices.Sorted(maps.Keys(r.Environments)) {
			if !slices.Contains(names, name) {
				notes = append(notes, fmt.Sprintf("environment %s of the configuration gets no permissions here: "+
					"name it too, or grant them to the agent's ServiceAccount", name))
			}
		}
	}
	return notes
}

// fileKeys are the keys with files whose names do not end with "File".
var fileKeys = []string{"webhookSecret", "allowedSigners", "openpgp", "keys"}

// secretsIn returns the Secrets that a configuration has files of. It fails for a file that the pods do not
// have.
func secretsIn(doc *yaml.Node) ([]mount, error) {
	keys := map[string][]string{}
	var err error
	add := func(key string, n *yaml.Node) {
		rest, below := strings.CutPrefix(n.Value, SecretDirectory+"/")
		secret, file, _ := strings.Cut(rest, "/")
		isFile := strings.HasSuffix(key, "File") || slices.Contains(fileKeys, key)
		isName := len(validation.IsDNS1123Subdomain(secret)) == 0 && file != "" && path.Base(file) == file
		switch {
		case err != nil || !isFile && !below:
		case !below || !isName:
			err = fmt.Errorf("line %d: %s: the pods do not have %s: write %s/SECRET/KEY for a key of a Secret in "+
				"their namespace", n.Line, key, n.Value, SecretDirectory)
		case !slices.Contains(keys[secret], file):
			keys[secret] = append(keys[secret], file)
		}
	}
	eachScalar(doc, "", add)
	var all []mount
	for i, secret := range slices.Sorted(maps.Keys(keys)) {
		slices.Sort(keys[secret])
		all = append(all, mount{
			Flag: "--config", Volume: fmt.Sprintf("secret-%d", i), Secret: secret, Keys: keys[secret], At: secret,
		})
	}
	return all, err
}

// eachScalar calls a function with all scalars, and the key that each is the value of, or an item of.
func eachScalar(n *yaml.Node, key string, call func(string, *yaml.Node)) {
	switch n.Kind {
	case yaml.ScalarNode:
		call(key, n)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			eachScalar(n.Content[i+1], n.Content[i].Value, call)
		}
	default:
		for _, child := range n.Content {
			eachScalar(child, key, call)
		}
	}
}
