package workflow

import (
	"path"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/project"
)

// withValue are the flags of kubectl that take the next word as their value.
var withValue = strings.Fields(
	"-n --namespace --context --kubeconfig --cluster --user -s --server -p --patch --type -f --filename -k " +
		"--kustomize -l --selector --timeout -c --containers -o --output --replicas --field-manager --min --max " +
		"--for --patch-file")

// kubectl returns the arguments without flags: ["set", "image", "deployment/api", "api=…"]. It is nil for
// other programs.
func kubectl(c command) []word {
	if path.Base(c.text(0)) != "kubectl" {
		return nil
	}
	var args []word
	for i := 1; i < len(c.words); i++ {
		if w := c.words[i]; slices.Contains(withValue, w.text) {
			i++
		} else if !strings.HasPrefix(w.text, "-") {
			args = append(args, w)
		}
	}
	return args
}

func says(args []word, verbs ...string) bool {
	for i, v := range verbs {
		if i >= len(args) || args[i].text != v {
			return false
		}
	}
	return len(verbs) > 0
}

// waits reports whether a command may wait until the deployed objects are healthy.
func waits(c command) bool {
	args := kubectl(c)
	switch name := path.Base(c.text(0)); name {
	case "helm":
		return c.has("--wait", "--atomic", "--rollback-on-failure")
	case "slipway", "skaffold", "kapp", "helmfile", "kluctl", "argocd", "flux", "werf":
		return true
	default:
		return says(args, "rollout", "status") || says(args, "wait") ||
			args == nil && (strings.Contains(name, "wait") || strings.Contains(name, "verify") ||
				strings.Contains(name, "smoke"))
	}
}

// deploysWorkloads reports whether a command deploys workloads to a cluster.
func deploysWorkloads(c command, all []command) bool {
	if c.has("--dry-run", "--local", "-h", "--help") {
		return false
	}
	args := kubectl(c)
	switch path.Base(c.text(0)) {
	case "helm":
		return c.text(1) == "upgrade" || c.text(1) == "install"
	case "slipway":
		return c.text(1) == "deploy"
	case "skaffold":
		return c.text(1) == "run" || c.text(1) == "deploy"
	case "helmfile":
		return c.text(1) == "apply" || c.text(1) == "sync"
	}
	if says(args, "apply") {
		// `kubectl create … | kubectl apply` makes a namespace or a secret.
		return !slices.ContainsFunc(all, func(o command) bool {
			return o.pipe == c.pipe && says(kubectl(o), "create")
		})
	}
	return says(args, "set") || says(args, "replace") || says(args, "rollout", "restart")
}

// deploys checks the jobs that deploy, and the names in their commands.
func (c *Pipelines) deploys(w *flow) {
	waiting := slices.ContainsFunc(w.jobs, func(j job) bool { return j.waits })
	for _, j := range w.jobs {
		checkKubeconfig(&c.report, j)
		if j.throwaway {
			continue
		}
		for _, cmd := range j.commands {
			checkNames(&c.report, c.Environments, cmd)
			switch path.Base(cmd.text(0)) {
			case "kubectl", "kustomize", "helm":
				c.length(w, cmd)
			}
			if says(kubectl(cmd), "set", "image") && !cmd.has("--local", "--dry-run") && len(c.Environments) > 0 {
				c.add(setImageLive.In(cmd.words[0].place,
					"kubectl set image changes only the cluster: the next apply restores the committed image"),
					"Render with the tag and apply the result.")
			}
		}
		i := slices.IndexFunc(j.commands, func(cmd command) bool { return deploysWorkloads(cmd, j.commands) })
		if i < 0 {
			continue
		}
		if !waiting {
			c.add(noWait.In(j.commands[i].words[0].place,
				"job %s does not wait for the rollout: it succeeds before the pods are healthy", value(j.ID)),
				"Add `kubectl rollout status` or `helm --atomic`, or use `slipway deploy`.")
		}
		called := len(w.On) == 1 && w.On[0].EventName() == "workflow_call"
		if w.Concurrency == nil && j.Concurrency == nil && !called {
			c.add(noConcurrency.In(w.at(j.ID),
				"job %s deploys without a concurrency group: an older run may deploy last", value(j.ID)),
				"Add `concurrency:` to the job.")
		}
		if j.Environment == nil {
			c.add(noEnvironment.In(w.at(j.ID),
				"job %s deploys without an environment: it needs no approval, and every workflow reads its secrets",
				value(j.ID)),
				"Add `environment:` to the job.")
		}
	}
}

// kinds are kubectl's names of the kinds that are deployed.
var kinds = map[string]string{
	"deploy": "Deployment", "deployment": "Deployment", "deployments": "Deployment",
	"deployment.apps": "Deployment", "deployments.apps": "Deployment",
	"sts": "StatefulSet", "statefulset": "StatefulSet", "statefulsets": "StatefulSet", "ds": "DaemonSet",
	"daemonset": "DaemonSet", "daemonsets": "DaemonSet",
	"cj": "CronJob", "cronjob": "CronJob", "cronjobs": "CronJob", "job": "Job", "jobs": "Job", "svc": "Service",
	"service": "Service", "services": "Service",
	"hpa": "HorizontalPodAutoscaler", "ing": "Ingress", "ingress": "Ingress", "cm": "ConfigMap",
	"configmap": "ConfigMap",
}

var plainName = lazyregexp.New(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// checkNames compares the object that a command names with the rendered ones.
func checkNames(r *report, environments []Environment, cmd command) {
	args := kubectl(cmd)
	switch {
	case says(args, "set"), says(args, "rollout"):
		args = args[min(2, len(args)):]
	case says(args, "scale"), says(args, "patch"), says(args, "autoscale"), says(args, "wait"),
		says(args, "annotate"), says(args, "label"), says(args, "logs"):
		args = args[1:]
	default:
		return
	}
	for i, w := range args {
		short, name, slash := strings.Cut(w.text, "/")
		if !slash && i == 0 && len(args) > 1 {
			name = args[1].text
		}
		kind := kinds[strings.ToLower(short)]
		if kind == "" || !plainName().MatchString(name) {
			continue
		}
		if env, renamed := renamedIn(environments, kind, name); renamed != "" {
			r.add(deployName.In(w.place, "no deployed environment has a %s %s: %s renders it as %s", kind,
				name, env, renamed),
				"Write `"+strings.ToLower(kind)+"/"+renamed+"`.")
		}
	}
}

// renamedIn finds the name that an overlay's prefix or suffix gives to an object. It is empty where an
// environment has an object of the plain name. Local environments do not count: workflows do not deploy them.
func renamedIn(environments []Environment, kind, name string) (env, renamed string) {
	for _, e := range environments {
		if e.Class == project.Local {
			continue
		}
		refs := e.Set.Refs()
		for _, r := range refs {
			if r.Kind != kind {
				continue
			}
			if r.Name == name {
				return "", ""
			}
			prefix, before := strings.CutSuffix(r.Name, name)
			suffix, after := strings.CutPrefix(r.Name, name)
			if before && strings.HasSuffix(prefix, "-") && shared(refs, prefix, "") || after &&
				strings.HasPrefix(suffix, "-") && shared(refs, "", suffix) {
				env, renamed = e.Name, r.Name
			}
		}
	}
	return env, renamed
}

// shared reports whether all objects that take a prefix or suffix have this one.
func shared(refs []object.Ref, prefix, suffix string) bool {
	n := 0
	for _, r := range refs {
		switch {
		case r.Kind == "Namespace", r.Kind == "CustomResourceDefinition", r.Kind == "APIService":
		case strings.HasPrefix(r.Name, prefix) && strings.HasSuffix(r.Name, suffix):
			n++
		case suffix == "" || r.Kind != "ConfigMap" && r.Kind != "Secret":
			return false
		}
	}
	return n > 1
}

var (
	secretUsed = lazyregexp.New(`\$\{\{[^}]*\bsecrets\.([\w-]+)`)
	// inside matches a path in the workspace.
	inside = lazyregexp.New(`^((\$GITHUB_WORKSPACE|\$\{\{ ?github\.workspace ?\}\})/)?[\w.][^$]*$`)
)

// checkKubeconfig finds secrets that are written to files in the workspace.
func checkKubeconfig(r *report, j job) {
	for _, cmd := range j.commands {
		files := cmd.writes
		if cmd.text(0) == "tee" {
			files = slices.Concat(files, cmd.words[1:])
		}
		for _, file := range files {
			if !inside().MatchString(file.text) {
				continue
			}
			secret := ""
			for _, o := range j.commands {
				if o.pipe == cmd.pipe {
					for _, w := range slices.Concat(o.words, o.reads) {
						if m := secretUsed().FindStringSubmatch(w.text); m != nil {
							secret = m[1]
						}
					}
				}
			}
			if secret != "" && strings.Contains(strings.ToLower(secret+file.text), "kube") {
				r.add(kubeconfigWorkspace.In(file.place,
					"secret %s is written to %s in the workspace: all later steps can read it",
					secret, file.text),
					"Write it to \"$RUNNER_TEMP/kubeconfig\" with umask 077.")
			}
		}
	}
}

var commit = lazyregexp.New(`^[0-9a-f]{40}$`)

// checkPins reports each action that is not pinned to a commit, once.
func checkPins(r *report, w *flow) {
	seen := map[string]bool{}
	check := func(uses *actionlint.String) {
		action, ref, found := strings.Cut(value(uses), "@")
		if !found || seen[value(uses)] || strings.HasPrefix(action, ".") || strings.HasPrefix(action,
			"docker://") ||
			strings.Contains(value(uses), "${{") || commit().MatchString(ref) {
			return
		}
		seen[value(uses)] = true
		r.add(actionUnpinned.In(w.at(uses), "%s is not pinned to a commit: its owner can move %s to other code",
			value(uses), ref),
			"Pin the commit: "+action+"@<40 characters> # "+ref)
	}
	for _, j := range w.jobs {
		if j.WorkflowCall != nil {
			check(j.WorkflowCall.Uses)
		}
		for _, step := range j.Steps {
			if exec, ok := step.Exec.(*actionlint.ExecAction); ok {
				check(exec.Uses)
			}
		}
	}
}
