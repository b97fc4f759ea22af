// Package project says what a repository holds: its images and its environments, as slipway.yaml
// states them or as conventional layouts show them. It reads files below one folder and nothing else.
package project

// Project is what slipway.yaml (or detection) describes.
type Project struct {
	Name string
	// Dir is the absolute root; all other paths are relative to it, with forward slashes.
	Dir string
	// File is the file that it was read from, relative to Dir; empty when it was detected.
	File         string
	Images       []Image
	Environments []Environment
	// Others are environments of further layouts that detection found and did not take: nothing is
	// deployed from them, but they are checked.
	Others []Environment
	// Remotes are the addresses that charts may be fetched from; an address covers what is below it.
	Remotes []string
	// Rules are files with rules of the project's own, those of folders included.
	Rules []string
	// Exceptions are what may differ, or break a rule, and why.
	Exceptions []Exception
	// Notes are what detection assumed, one sentence each, for the user to see.
	Notes []string
}

// Image is one image that this repository builds.
type Image struct {
	// Name is how manifests call it, with or without a registry: "myapp", "acme/myapp",
	// "ghcr.io/acme/myapp" all recognise "ghcr.io/acme/myapp".
	Name       string
	Context    string // folder of the build context; "." when not said
	Dockerfile string // relative to Dir; Context/Dockerfile when not said
	Target     string
	BuildArgs  map[string]string
	Platforms  []string // "linux/amd64"; empty: the builder's own
	Secrets    []Secret
	SSH        bool // lend the build the SSH agent
	Cache      Cache
	Provenance string // "min" or "max"; empty: none
	SBOM       string // the image that makes one; empty: none
	// Detected: no one asked for this image, a Dockerfile was found.
	Detected bool
}

// Secret is what a build may read under a name, and no image keeps. One of Env and File is set.
type Secret struct {
	ID   string
	Env  string // environment variable
	File string // relative to Dir
}

// Cache is where builds on other machines find what this one has done, and the reverse.
type Cache struct {
	Registry string // "ghcr.io/acme/cache:shop"
	Local    string // folder, relative to Dir
	Inline   bool   // in the image itself
	GitHub   bool   // the cache of GitHub Actions, where it runs
}

// Environment is one place that the project runs.
type Environment struct {
	Name  string
	Class Class
	// Path is the Kustomize overlay or the folder of plain YAML; empty where there are only charts.
	Path string
	// Charts are rendered beside what Path holds, in order.
	Charts []Chart
	// Skaffold resolves to paths and charts by profiles; nil where there is no skaffold.yaml.
	Skaffold *Skaffold
	// KubeVersion and APIVersions are what charts are told about the cluster when it is not asked.
	KubeVersion string
	APIVersions []string
	// Context is the kubeconfig context. Empty: the context called like the environment.
	Context string
	// Namespace is for objects that name none, and for the records. Empty: the context's own.
	Namespace string
	// Registry is where an image goes whose manifest names no registry ("ghcr.io/acme").
	Registry string
	// Signatures are who may sign the project's images: one of them must have, or nothing is deployed.
	Signatures []Signature
	// Line is where slipway.yaml begins it (0 when detected).
	Line int
}

// Signature is who may sign: whoever has the other half of the public key in a file, or an identity that
// an issuer of OIDC tokens vouched for; "*" in the identity stands for any text. TrustedRoot is a file that
// names the certificates and logs to trust; without one they are the public Sigstore's.
type Signature struct{ Key, Identity, Issuer, TrustedRoot string }

// Exception says that something is meant to be as it is.
type Exception struct {
	// Rule is one of check's; empty: the exception is about a difference that compare shows.
	Rule string
	// Object is "KIND/NAME" with * and ? in either, as rendered or without an environment's prefix;
	// empty: any.
	Object string
	// Field is a field's path; it stands for everything below it. Empty: any.
	Field string
	// Environments are where it holds; none: everywhere.
	Environments []string
	Reason       string
	// Until is the last day that it holds, "2027-03-31"; empty: for good.
	Until string
	Line  int
}

// Chart is one release of a Helm chart.
type Chart struct {
	// Path is a folder with a Chart.yaml, or a packed chart; with a Repository it is the chart's name.
	Path string
	// Repository is where a chart comes from that does not lie in the project ("https://…",
	// "oci://…"), and Version which one. Both must be said.
	Repository, Version string
	Release             string
	// Namespace is the release's; empty: the environment's.
	Namespace string
	// Values are files, the later the stronger. The others are in Helm's grammar and outrank them
	// in this order, whatever order they were written in.
	Values                                       []string
	SetJSON, Set, SetString, SetFile, SetLiteral []string
	// Lookup lets the chart's templates look at what is in the cluster.
	Lookup bool
	// NoHooks leaves the chart's hooks out.
	NoHooks bool
	// Patches is a folder whose kustomization is applied to what the chart renders; it does not
	// name the chart itself.
	Patches string
	// Line is where it is asked for in the project file; 0 when detected.
	Line int
}

// Skaffold is a skaffold.yaml, taken with some of its profiles.
type Skaffold struct {
	File     string
	Profiles []string
}

// Class says which contract holds.
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
	// Commit is the full hash; empty where there is no Git repository or no commit.
	Commit string
	// Tag is the image tag that this state earns: "sha-3f9c2e1", with a content suffix when Dirty.
	Tag   string
	Dirty bool
	// Changed are the files that no commit describes, from the repository's top.
	Changed []string
	// Recent are the tags that this commit and the nearest ones before it earn, the newest first: their
	// images may hold what a build can start from. Empty where no image keeps an inline cache.
	Recent []string
	// Versions are the releases that the commit is tagged as, "1.4.0" for v1.4.0: what is built from it
	// is tagged so, too. None when Dirty.
	Versions []string
	// Remote is the URL of the repository's origin without credentials; empty when there is none.
	Remote string
	// Time is the commit's, in seconds since 1970: the timestamps of everything built from it.
	Time int64
	// Notes are what reading the source assumed, one sentence each, for the user to see.
	Notes []string
}
