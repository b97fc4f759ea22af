// Package project describes a repository: its images and its environments, as slipway.yaml states them or as
// detection infers them from conventional layouts. It reads files below one directory and nothing else.
package project

import "time"

// Project is what slipway.yaml (or detection) describes.
type Project struct {
	Name string
	// Dir is the absolute root; all other paths are relative to it, with forward slashes.
	Dir string
	// File is the file that it was read from, relative to Dir; empty when it was detected.
	File         string
	Images       []Image
	Environments []Environment
	// Others are environments of further layouts that detection found: they are checked, but not deployed.
	Others []Environment
	// Remotes are the addresses that charts may be fetched from, with everything below them.
	Remotes []string
	// Rules are files with the project's own rules.
	Rules []string
	// Health are the project's own rules about the health of kinds.
	Health []HealthRule
	// Exceptions are permitted differences and violations of rules, with their reasons.
	Exceptions []Exception
	// Notes are the assumptions of detection.
	Notes []Note
}

// Image is one image that this repository builds.
type Image struct {
	// Name is the image's name in manifests, with or without a registry: "myapp", "acme/myapp" and
	// "ghcr.io/acme/myapp" all match "ghcr.io/acme/myapp".
	Name       string
	Context    string // directory of the build context; "." by default
	Dockerfile string // relative to Dir; Context/Dockerfile by default
	Target     string
	BuildArgs  map[string]string
	Platforms  []string // "linux/amd64"; empty: the builder's own
	Secrets    []Secret
	SSH        bool // give the build access to the SSH agent
	Cache      Cache
	Provenance string // "min" or "max"; empty: none
	SBOM       string // the image that generates one; empty: none
	// Detected: slipway.yaml does not name the image, but there is a Dockerfile.
	Detected bool
	// Artifact: a skaffold.yaml builds it, so that manifests name it without a tag.
	Artifact bool
}

// Secret is a value that a build may read and that does not end up in the image. One of Env and File is set.
type Secret struct {
	ID   string
	Env  string // environment variable
	File string // relative to Dir
}

// Cache is where builds on different machines share their results.
type Cache struct {
	Registry string // "ghcr.io/acme/cache:shop"
	Local    string // directory, relative to Dir
	Inline   bool   // in the image itself
	GitHub   bool   // the cache of GitHub Actions, if it runs there
}

// Environment is one place that the project runs.
type Environment struct {
	Name  string
	Class Class
	// Paths are Kustomize overlays, directories of plain YAML and files of it, in order; none where there are
	// only charts.
	Paths []string
	// Charts are rendered beside what Paths hold, in order.
	Charts []Chart
	// Skaffold names the paths and charts instead; nil: slipway.yaml or detection does.
	Skaffold *Skaffold
	// NoHooks leaves out what Helm or Argo CD would run as hooks.
	NoHooks bool
	// KubeVersion and APIVersions describe the cluster to charts that are rendered without one.
	KubeVersion string
	APIVersions []string
	// Context is the kubeconfig context. Empty: the context with the environment's name.
	Context string
	// Namespace is for objects without one, and for the records. Empty: the context's.
	Namespace string
	// Registry is where images go whose name in the manifests has no registry: "ghcr.io/acme".
	Registry string
	// Signatures are the trusted signers of the project's images: without a signature of one of them nothing
	// is deployed.
	Signatures []Signature
	// Gates are what an image must have passed before it is promoted here; nil: nothing.
	Gates *Gates
	// Follow are the images whose tags in a registry decide which version the environment runs.
	Follow []Follow
	// Verify are the checks that a release must pass once its objects are healthy.
	Verify []Verification
	// Absent are the paths that slipway.yaml names and that do not exist: without them nothing can be rendered.
	Absent []AbsentError
	// Line is its line in slipway.yaml; 0: detected.
	Line int
}

// HealthRule says when the objects of a kind are healthy. The expressions are in CEL and see the live object
// as "object".
type HealthRule struct {
	// Kind is "KIND.GROUP": "Certificate.cert-manager.io".
	Kind string
	// Healthy and Failed return true or false, and Message text. Failed and Message may be empty.
	Healthy, Failed, Message string
	// Ignore: a deploy does not wait for these objects.
	Ignore bool
	Line   int
}

// Gates decide which images are promoted to an environment.
type Gates struct {
	// From is the only environment that images come from; empty: any, or a build.
	From string
	// Healthy is how long they must have been healthy there without a break; zero: at the moment.
	Healthy time.Duration
	// Verdict is the public key, as SSH writes it, of the agent of From: its published verdict counts in place
	// of the record, for a cluster that cannot be reached.
	Verdict string
	// Approvals is how many people must approve what is promoted.
	Approvals int
	// Checks are commit statuses and check runs of the forge, and Notes are checks that Git notes report: each
	// must have passed for the commits that the images were built from.
	Checks, Notes []string
	// Windows are when images are promoted; none: always.
	Windows []Window
	Line    int
}

// Follow has an image of an environment follow the tags of its repository. One of Semver and Newest is set.
type Follow struct {
	// Image is its name in the manifests, with or without a registry.
	Image string
	// Semver is a range of versions, such as ">=1.2 <2": the greatest one is taken.
	Semver string
	// Newest is a regular expression of tags: the image that was built last is taken.
	Newest string
	Line   int
}

// Signature is a trusted signer: the owner of a key pair, named by the file of its public key, or an identity
// in the tokens of an OIDC issuer, where "*" stands for any text. TrustedRoot is a file with the certificates
// and logs to trust; without it they are those of the public Sigstore.
type Signature struct{ Key, Identity, Issuer, TrustedRoot string }

// Exception permits a difference or a violation of a rule.
type Exception struct {
	// Rule is a rule of check; empty: the exception permits a difference that compare shows.
	Rule string
	// Object is "KIND/NAME" with * and ? as wildcards, as rendered or without an environment's prefix;
	// empty: any.
	Object string
	// Field is a field's path, and includes everything below it. Empty: any.
	Field string
	// Environments are where it applies; none: everywhere.
	Environments []string
	Reason       string
	// Until is the last day that it applies, "2027-03-31"; empty: no end.
	Until string
	Line  int
}

// Chart is one release of a Helm chart.
type Chart struct {
	// Path is a directory with a Chart.yaml, or a chart archive. With a Repository it is the chart's name.
	Path string
	// Repository ("https://…", "oci://…") and Version are those of a chart that is not in the project. Such a
	// chart needs both.
	Repository, Version string
	Release             string
	// Namespace is the release's; empty: the environment's.
	Namespace string
	// Values are files: later ones override earlier ones. The others are in Helm's grammar and override
	// them in this order, whatever their order in slipway.yaml.
	Values                                       []string
	SetJSON, Set, SetString, SetFile, SetLiteral []string
	// Lookup permits the chart's templates to read from the cluster.
	Lookup bool
	// NoHooks leaves the chart's hooks out.
	NoHooks bool
	// Patches is a directory whose kustomization is applied to the rendered chart, which it does not name.
	Patches string
	// Line is its line in slipway.yaml; 0: detected.
	Line int
}

// Skaffold is a skaffold.yaml with some of its profiles.
type Skaffold struct {
	File     string
	Profiles []string
}

// Class decides which rules apply.
type Class string

// The classes, from the least to the most protected.
const (
	Local      Class = "local"
	Staging    Class = "staging"
	Production Class = "production"
)

// Source is one state of the project's repository.
type Source struct {
	Project Project
	// Repository is the directory of the Git repository, which the project's files need not be in; empty: none.
	Repository string
	// Commit is the full hash; empty: not in a Git repository, or before the first commit.
	Commit string
	// Tag is the tag of images built from this state: "sha-3f9c2e1", with a suffix for the content when
	// Dirty.
	Tag   string
	Dirty bool
	// Path is the project's directory in the repository, with slashes; empty for the root.
	Path string
	// Changed are the files that are not committed, relative to the repository's root.
	Changed []string
	// Recent are the tags of this commit and of those before it, the newest first: a build can use their
	// inline caches. Empty where no image has one.
	Recent []string
	// Versions are the semantic versions among the commit's Git tags, "1.4.0" for v1.4.0. Images get them as
	// tags too. None when Dirty.
	Versions []string
	// Remote is the URL of the repository's origin without credentials; empty: no origin, or a local path.
	Remote string
	// Identity names the repository by its origin, "acme/myapp"; empty: no origin.
	Identity string
	// Bundled: it was rendered elsewhere, without a repository to ask. Ancestors are the commits that
	// Commit contains, the newest first.
	Bundled   bool
	Ancestors []string
	// Time is the commit's in Unix seconds, and the timestamp in everything that is built from it.
	Time int64
	// Notes are the assumptions that reading the source made.
	Notes []Note
}
