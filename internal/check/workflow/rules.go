package workflow

import "slipway/internal/check/finding"

const group = "workflow"

var (
	workflowSyntax = finding.Rule{ID: "workflow-syntax", Group: group, Severity: finding.Error,
		Title: "A workflow that GitHub refuses, or whose expression fails",
		Why: "GitHub reads a workflow only when it is to run. A wrong key or expression shows itself as a run " +
			"that never " +
			"starts, or as a step that works with an empty value. The check is actionlint's, without its external " +
			"programs.",
		Fix: "Write what the message asks for. What is unusual but works is a warning only."}
	deployName = finding.Rule{ID: "deploy-name", Group: group, Severity: finding.Error,
		Title: "A deploy step names an object that has another name in the cluster",
		Why: "An overlay's `namePrefix` or `nameSuffix` renames all of its objects. What happens outside of " +
			"Kustomize must " +
			"use the new name; with the old one kubectl finds nothing, or changes an object that belongs to " +
			"somebody else.",
		Fix: "Use the name that is rendered:\n\n```yaml\n- run: kubectl rollout status deployment/prod-myapp\n```"}
	setImageLive = finding.Rule{ID: "set-image-live", Group: group, Severity: finding.Warning,
		Title: "`kubectl set image` changes the cluster and not what is committed",
		Why: "The image is changed in the cluster only. Git keeps the old tag, so the next apply of the " +
			"manifests brings the " +
			"old image back, and nobody can tell from Git what runs.",
		Fix: "Change what is committed, or render with the tag and apply that:\n\n```yaml\n- run: |\n    cd " +
			"overlays/prod && kustomize edit set image " +
			"myapp=ghcr.io/acme/myapp:sha-${GITHUB_SHA::7}\n    kustomize build . | kubectl apply -f -\n```"}
	tagNever = finding.Rule{ID: "tag-never", Group: group, Severity: finding.Warning,
		Title: "A tag rule that can never fire under the workflow's own triggers",
		Why: "docker/metadata-action leaves out silently what does not fit the event. `type=semver` needs a Git " +
			"tag, and a " +
			"workflow with `on.push.branches` alone is not started by one: the tag that you wait for is never built.",
		Fix: "Add the trigger, or delete the rule:\n\n```yaml\non:\n  push:\n    branches: [main]\n    tags: " +
			"['v*']\n```"}
	tagMutable = finding.Rule{ID: "tag-mutable", Group: group, Severity: finding.Warning,
		Title: "The workflow pushes a tag that moves",
		Why: "A tag like `main` or `latest` stands for another image after each run. Who deploys it gets what " +
			"happens to be " +
			"there when a pod starts, and cannot roll back to it. `flavor: latest=auto`, the default, adds `latest` " +
			"on Git tags.",
		Fix: "Push what never moves only:\n\n```yaml\ntags: |\n  type=sha\n  " +
			"type=semver,pattern={{version}}\nflavor: latest=false\n```"}
	imageVersion = finding.Rule{ID: "image-version", Group: group, Severity: finding.Warning,
		Title: "The image's version label is a tag that moves",
		Why: "docker/metadata-action takes `org.opencontainers.image.version` and its output `version` from the " +
			"entry with " +
			"the highest priority: ref has 600, raw 200, sha 100. Beside `type=ref,event=branch` the version of " +
			"every image is `main`.",
		Fix: "Delete the entry that moves, or put the commit first:\n\n```yaml\ntags: |\n  " +
			"type=sha,priority=1001\n```"}
	tagLength = finding.Rule{ID: "tag-length", Group: group, Severity: finding.Error,
		Title: "A tag is deployed that no tag rule builds",
		Why: "`type=sha` builds `sha-` and the first 7 characters of the commit, `format=long` all 40. A tag of " +
			"another length " +
			"is another tag: it is not in the registry, and the pods end in ImagePullBackOff.",
		Fix: "Use the same form in both places, best the build's own output:\n\n```yaml\n- run: kubectl set " +
			"image deployment/api " +
			"api=ghcr.io/acme/api:sha-${GITHUB_SHA::7}\n```"}
	noWait = finding.Rule{ID: "no-wait", Group: group, Severity: finding.Warning,
		Title: "Nothing waits until what was deployed is healthy",
		Why: "kubectl and Helm return when the API server has taken the objects. The run is green before a pod " +
			"has started, " +
			"and stays green when none ever does.",
		Fix: "```yaml\n- run: kubectl rollout status deployment/api --timeout=5m\n```\n\nor `helm upgrade " +
			"--atomic`, or `slipway deploy`."}
	noConcurrency = finding.Rule{ID: "no-concurrency", Group: group, Severity: finding.Warning,
		Title: "Two runs of a deploy job can overtake each other",
		Why: "Two commits in a row start two runs. Without a concurrency group the older one can be the last to " +
			"deploy, and " +
			"the cluster then runs older code than the branch.",
		Fix: "```yaml\nconcurrency:\n  group: deploy-prod\n  cancel-in-progress: false\n```"}
	noEnvironment = finding.Rule{ID: "no-environment", Group: group, Severity: finding.Warning,
		Title: "A deploy job without a protected environment",
		Why: "Without `environment:` a job needs no approval, its secrets are open to every workflow of the " +
			"repository, and " +
			"GitHub keeps no list of what was deployed where.",
		Fix: "```yaml\njobs:\n  deploy:\n    environment: production\n```"}
	kubeconfigWorkspace = finding.Rule{ID: "kubeconfig-workspace", Group: group, Severity: finding.Warning,
		Title: "A kubeconfig is written into the workspace",
		Why: "The file stays there for all later steps and their actions, is open to be read by every user, and " +
			"goes along " +
			"when the workspace is a build context or is uploaded as an artifact.",
		Fix: "Write it outside, for its owner only, or log in with OIDC:\n\n```yaml\n- run: |\n    umask 077\n   " +
			" printf '%s' \"$KUBECONFIG_DATA\" > " +
			"\"$RUNNER_TEMP/kubeconfig\"\n```"}
	actionUnpinned = finding.Rule{ID: "action-unpinned", Group: group, Severity: finding.Warning,
		Title: "An action is pinned to something that can be moved",
		Why: "A tag or a branch of an action can be moved by whoever owns it, or has taken it over. The next run " +
			"then runs " +
			"other code, with your secrets.",
		Fix: "Pin the commit and keep the version for people:\n\n```yaml\n- uses: actions/checkout@<the commit's " +
			"40 characters> # v4.2.2\n```"}
	helmPrecedence = finding.Rule{ID: "helm-set-precedence", Group: group, Severity: finding.Warning,
		Title: "Helm's values do not follow the order that is written",
		Why: "Helm ranks values by the kind of the flag: `-f` < `--set-json` < `--set` < `--set-string` < " +
			"`--set-file` < " +
			"`--set-literal`. The order on the command line counts only between flags of one kind.",
		Fix: "Set a key with one kind of flag only, and rely on the order of `-f` files alone."}
	helmTagDefault = finding.Rule{ID: "helm-tag-default", Group: group, Severity: finding.Warning,
		Title: "Helm is run without an image tag, and the default is one that moves",
		Why: "The values files of the command say where the image lies and not which tag it has. The tag then " +
			"comes from the " +
			"chart's values.yaml, which is often that of a laptop: the registry is production's and the tag `dev`.",
		Fix: "```yaml\n- run: helm upgrade --install api ./chart -f values-prod.yaml --set " +
			"image.tag=sha-${GITHUB_SHA::7}\n```"}
)

// Rules are the rules about workflows.
var Rules = []finding.Rule{
	workflowSyntax, deployName, setImageLive, tagNever, tagMutable, imageVersion, tagLength,
	noWait, noConcurrency,
	noEnvironment, kubeconfigWorkspace, actionUnpinned, helmPrecedence, helmTagDefault,
}
