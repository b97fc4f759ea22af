package install

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Secrets name Secrets in the namespace of the agent. They are mounted and never read here; empty: none.
type Secrets struct {
	// Git is for the repository: with the keys ssh-privatekey and known_hosts for SSH, else with the key
	// password; with the key private-key for a GitHub App.
	Git string
	// GitHubApp is "ID/INSTALLATION" of a GitHub App, and goes with Git.
	GitHubApp string
	// Webhook has the key secret, that webhooks are signed with.
	Webhook string
	// Signers has the key allowed_signers, and OpenPGP the key keys.asc.
	Signers, OpenPGP string
	// Registry is a Secret of the type kubernetes.io/dockerconfigjson: the logins of registries.
	Registry string
	// CA has the key ca.crt: certificate authorities that the agent trusts beside those of its image.
	CA string
	// ForgeToken has the key token, to open pull requests with. ForgeKind is that of the forge; empty: by
	// the host of the repository. With GitHubApp and a ForgeKind, the app makes the token.
	ForgeToken, ForgeKind string
}

// Keys of the Secrets. The first two are those of kubernetes.io/ssh-auth and kubernetes.io/basic-auth.
const (
	keySSH     = "ssh-privatekey"
	keyToken   = "password"
	keyHosts   = "known_hosts"
	keyApp     = "private-key"
	keyWebhook = "secret"
	keySigners = "allowed_signers"
	keyOpenPGP = "keys.asc"
	keyForge   = "token"
	keyDocker  = ".dockerconfigjson"
	keyCA      = "ca.crt"
)

// forgeOfApps is the kind of forge that takes the tokens of a GitHub App.
const forgeOfApps = "github"

// NoCredentialsError says that a repository is reached by SSH, and no Secret has a key for it.
type NoCredentialsError struct {
	URL string
	// Create is the command that makes the Secret.
	Create string
}

func (e *NoCredentialsError) Error() string {
	return "--repo " + e.URL + ": SSH needs a private key and known host keys, and --git-credentials is not " +
		"given"
}

// isSSH says that git reaches the repository by SSH: ssh:// or user@host:path.
func (o Options) isSSH() bool {
	at, err := url.Parse(o.URL)
	return err != nil || at.Scheme == "" || at.Scheme == "ssh"
}

func (o Options) validateSecrets() error {
	s := o.Secrets
	for _, m := range o.mounts() {
		if faults := validation.IsDNS1123Subdomain(m.Secret); len(faults) > 0 {
			return &InvalidError{m.Flag + " " + m.Secret, "it is not the name of a Secret: " + faults[0]}
		}
	}
	at, err := url.Parse(o.URL)
	hasPassword := false
	if err == nil && at.User != nil {
		_, hasPassword = at.User.Password()
	}
	id, installation, isPair := strings.Cut(s.GitHubApp, "/")
	switch {
	case hasPassword:
		return &InvalidError{"--repo " + at.Redacted(), "it contains a password, which the ConfigMap would show: " +
			"pass --git-credentials SECRET"}
	case s.GitHubApp != "" && (!isPair || id == "" || installation == ""):
		return &InvalidError{"--github-app " + s.GitHubApp, "want ID/INSTALLATION, such as 12345/67890"}
	case s.GitHubApp != "" && s.Git == "":
		return &InvalidError{"--github-app", "it needs --git-credentials SECRET, which has the private key: run `" +
			o.create(mount{Secret: "git", Keys: []string{keyApp}}) + "`"}
	case s.GitHubApp != "" && o.isSSH():
		return &InvalidError{"--github-app", "it is for URLs of https"}
	case s.ForgeKind != "" && s.ForgeToken == "" && s.GitHubApp == "":
		return &InvalidError{"--forge", "it goes with --forge-token SECRET or --github-app ID/INSTALLATION"}
	case s.ForgeKind != "" && s.ForgeKind != forgeOfApps && s.ForgeToken == "":
		return &InvalidError{"--forge " + s.ForgeKind, "a GitHub App is for " + forgeOfApps +
			" alone: pass --forge-token SECRET"}
	case len(o.Config) == 0 && o.isSSH() && s.Git == "":
		return &NoCredentialsError{o.URL, o.create(mount{Secret: "git", Keys: []string{keySSH, keyHosts}})}
	}
	return nil
}

// mount is a Secret in the pods of the agent.
type mount struct {
	Flag, Volume, Secret string
	Keys                 []string
	At                   string // the name of its directory; empty: that of the volume
}

// Directory is where the keys of the Secret are files. A directory, not a file of it, follows the Secret.
func (m mount) Directory() string { return SecretDirectory + "/" + cmp.Or(m.At, m.Volume) }

// File is the name of a key in the directory: the login of registries has the one that its readers know.
func (m mount) File(key string) string {
	if key == keyDocker {
		return "config.json"
	}
	return key
}

func (m mount) file(key string) string { return m.Directory() + "/" + key }

func (o Options) mounts() []mount {
	s := o.Secrets
	git := []string{keyToken}
	switch {
	case s.GitHubApp != "":
		git = []string{keyApp}
	case o.isSSH():
		git = []string{keySSH, keyHosts}
	}
	var all []mount
	for _, m := range []mount{
		{Flag: "--git-credentials", Volume: "git", Secret: s.Git, Keys: git},
		{Flag: "--webhook-secret", Volume: "webhook", Secret: s.Webhook, Keys: []string{keyWebhook}},
		{Flag: "--signers", Volume: "signers", Secret: s.Signers, Keys: []string{keySigners}},
		{Flag: "--openpgp-signers", Volume: "openpgp", Secret: s.OpenPGP, Keys: []string{keyOpenPGP}},
		{Flag: "--forge-token", Volume: "forge", Secret: s.ForgeToken, Keys: []string{keyForge}},
		{Flag: "--registry-credentials", Volume: "registry", Secret: s.Registry, Keys: []string{keyDocker}},
		{Flag: "--ca", Volume: "authorities", Secret: s.CA, Keys: []string{keyCA}},
	} {
		if m.Secret != "" {
			all = append(all, m)
		}
	}
	return all
}

// access is what the configuration of the repository says about Secrets.
type access struct {
	Credentials   map[string]any    `yaml:"credentials,omitempty"`
	Signers       map[string]string `yaml:"signers,omitempty"`
	WebhookSecret string            `yaml:"webhookSecret,omitempty"`
	Forge         map[string]string `yaml:"forge,omitempty"`
}

func (o Options) access() access {
	var a access
	for _, m := range o.mounts() {
		file := m.file(m.Keys[0])
		switch m.Volume {
		case "git":
			a.Credentials = o.credentials(m)
		case "webhook":
			a.WebhookSecret = file
		case "signers", "openpgp":
			if a.Signers == nil {
				a.Signers = map[string]string{}
			}
			a.Signers[map[string]string{"signers": "allowedSigners", "openpgp": "openpgp"}[m.Volume]] = file
		case "forge":
			a.Forge = map[string]string{"tokenFile": file}
			if o.Secrets.ForgeKind != "" {
				a.Forge["kind"] = o.Secrets.ForgeKind
			}
		}
	}
	if a.Forge == nil && o.Secrets.ForgeKind != "" {
		a.Forge = map[string]string{"kind": o.Secrets.ForgeKind}
	}
	return a
}

// credentials are those of the repository. The user of a URL goes with its password.
func (o Options) credentials(m mount) map[string]any {
	file := m.file(m.Keys[0])
	switch m.Keys[0] {
	case keySSH:
		return map[string]any{"sshKeyFile": file, "knownHostsFile": m.file(keyHosts)}
	case keyApp:
		id, installation, _ := strings.Cut(o.Secrets.GitHubApp, "/")
		return map[string]any{"githubApp": map[string]string{
			"id": id, "installation": installation, "privateKeyFile": file,
		}}
	}
	c := map[string]any{"passwordFile": file}
	if at, err := url.Parse(o.URL); err == nil && at.User.Username() != "" {
		c["username"] = at.User.Username()
	}
	return c
}

// create is the command that makes a Secret. Its values are read from files: others see the arguments of
// commands.
func (o Options) create(m mount) string {
	command := fmt.Sprintf("kubectl --namespace %s create secret generic %s", o.Namespace, m.Secret)
	if slices.Contains(m.Keys, keyDocker) {
		command += " --type=kubernetes.io/dockerconfigjson"
	}
	for _, key := range m.Keys {
		command += " --from-file=" + key + "=FILE"
	}
	return command
}

// notes say which Secrets the pods wait for.
func (o Options) notes(mounts []mount) []string {
	var all []string
	for _, m := range mounts {
		all = append(all, fmt.Sprintf("the agent's pods start when Secret %s/%s has %s: run `%s` if it does not "+
			"exist", o.Namespace, m.Secret, strings.Join(m.Keys, " and "), o.create(m)))
	}
	return all
}
