package workflow

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
)

// Push is an image that a workflow pushes.
type Push struct {
	// Repository may have parts that only a run knows: "ghcr.io/${{ github.repository }}".
	Repository string
	Place      finding.Place
}

// unknownPart matches a part of a name that only a run knows.
var unknownPart = lazyregexp.New(`(?s)\$\{\{.*?\}\}|\$\{[^}]*\}|\$\(.*?\)|\$\w+`)

// Pushes reports whether the push may be of a repository.
func (p Push) Pushes(repository string) bool {
	parts := unknownPart().Split(p.Repository, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	ok, err := regexp.MatchString("^"+strings.Join(parts, ".+")+"$", repository)
	return ok && err == nil
}

// Name is the end of the repository that is known, and empty where a run computes it: "shop/backend" of
// "ghcr.io/${{ github.repository_owner }}/shop/backend".
func (p Push) Name() string {
	all := unknownPart().FindAllStringIndex(p.Repository, -1)
	if len(all) == 0 {
		return strings.TrimPrefix(strings.TrimPrefix(p.Repository, reference.Host(p.Repository)), "/")
	}
	_, name, found := strings.Cut(p.Repository[all[len(all)-1][1]:], "/")
	if !found {
		return ""
	}
	return name
}

// Written is the repository with the usual variables of GitHub in words: "ghcr.io/OWNER/NAME".
func (p Push) Written() string {
	return unknownPart().ReplaceAllStringFunc(p.Repository, func(v string) string {
		switch {
		case strings.Contains(v, "repository_owner"), strings.Contains(v, "REPOSITORY_OWNER"):
			return "OWNER"
		case strings.Contains(v, "github.repository"), strings.Contains(v, "GITHUB_REPOSITORY"):
			return "OWNER/NAME"
		}
		return "…"
	})
}

// Pushes returns the images that the workflows push, as far as their files say.
func (c *Pipelines) Pushes() []Push {
	var all []Push
	for _, b := range c.builds {
		for _, image := range b.images {
			all = append(all, Push{Repository: image, Place: b.step})
		}
	}
	for _, w := range c.flows {
		for _, j := range w.jobs {
			for _, p := range slices.Concat(pushedBySteps(w, j), pushedByCommands(j.commands)) {
				for _, text := range inMatrix(j.Strategy, p.String()) {
					r := reference.Parse(text)
					all = append(all, Push{r.Repository, p.place})
				}
			}
		}
	}
	for _, j := range c.gitlab {
		for _, p := range pushedByCommands(j.commands) {
			all = append(all, Push{p.Repository, p.place})
		}
	}
	for i := range all {
		all[i].Repository = strings.ToLower(all[i].Repository)
	}
	return all
}

// pushed is an image as a step pushes it.
type pushed struct {
	reference.Reference
	place finding.Place
}

// pushedBySteps are the images in the tags of docker/build-push-action and of actions with its inputs.
func pushedBySteps(w *flow, j job) []pushed {
	var all []pushed
	for _, step := range j.Steps {
		exec, ok := step.Exec.(*actionlint.ExecAction)
		if !ok || exec.Inputs["tags"] == nil || exec.Inputs["tags"].Value == nil || !builds(exec) {
			continue
		}
		tags := exec.Inputs["tags"].Value
		at := w.inside(tags)
		for i, line := range strings.Split(tags.Value, "\n") {
			for _, text := range strings.Split(line, ",") {
				text = normal(strings.TrimSpace(text), environ(j.env, step.Env))
				if text != "" && !strings.Contains(text, "outputs.") {
					all = append(all, pushed{reference.Parse(text), at(i+1, 1)})
				}
			}
		}
	}
	return all
}

// builds reports whether a step builds an image and pushes it.
func builds(exec *actionlint.ExecAction) bool {
	uses := strings.ToLower(value(exec.Uses))
	if !strings.HasPrefix(uses, "docker/build-push-action@") && !strings.Contains(uses, "buildx") &&
		!strings.Contains(uses, "kaniko") {
		return false
	}
	push := inputOf(exec, "push")
	return push != "" && push != "false" || strings.Contains(inputOf(exec, "outputs"), "push=true")
}

// pushedByCommands are the images that commands push. A tag alone, as of "docker build -t", does not count.
func pushedByCommands(commands []command) []pushed {
	var all []pushed
	add := func(w word) {
		if w.text != "" && !strings.HasPrefix(w.text, "-") {
			text := strings.TrimPrefix(w.text, "docker://")
			all = append(all, pushed{reference.Parse(text), w.place})
		}
	}
	for _, cmd := range commands {
		words := cmd.words
		last := words[len(words)-1]
		switch path.Base(cmd.text(0)) {
		case "docker", "podman", "nerdctl", "buildah":
			if i := slices.IndexFunc(words, func(w word) bool { return w.text == "push" }); i == 1 || i == 2 {
				for _, w := range words[i+1:] {
					if !strings.HasPrefix(w.text, "-") {
						add(w)
						break
					}
				}
			} else if cmd.has("--push") {
				eachValue(cmd, add, "-t", "--tag")
			}
		case "executor", "/kaniko/executor":
			eachValue(cmd, add, "--destination", "-d")
		case "gcloud":
			eachValue(cmd, add, "--tag", "-t")
		case "crane":
			if cmd.text(1) == "copy" || cmd.text(1) == "cp" || cmd.text(1) == "push" {
				add(last)
			}
		case "skopeo":
			if cmd.text(1) == "copy" {
				add(last)
			}
		case "pack":
			if cmd.has("--publish") && len(words) > 2 {
				add(words[2])
			}
		}
	}
	return all
}

// eachValue visits the values of a flag that may be repeated.
func eachValue(c command, visit func(word), flags ...string) {
	for i, w := range c.words {
		name, text, joined := strings.Cut(w.text, "=")
		switch {
		case !slices.Contains(flags, name):
		case joined:
			visit(word{text, w.place})
		case i+1 < len(c.words):
			visit(c.words[i+1])
		}
	}
}

var matrixValue = lazyregexp.New(`\$\{\{\s*matrix\.([\w-]+)(?:\.([\w-]+))?\s*\}\}`)

// inMatrix replaces the first value of a matrix in a text by each that the file lists, and so on.
func inMatrix(s *actionlint.Strategy, text string) []string {
	m := matrixValue().FindStringSubmatch(text)
	if m == nil || s == nil || s.Matrix == nil {
		return []string{text}
	}
	var values []string
	add := func(v actionlint.RawYAMLValue) {
		if object, ok := v.(*actionlint.RawYAMLObject); ok && m[2] != "" {
			v = object.Props[strings.ToLower(m[2])]
		}
		if scalar, ok := v.(*actionlint.RawYAMLString); ok && !strings.Contains(scalar.Value, "${{") {
			values = append(values, scalar.Value)
		}
	}
	key := strings.ToLower(m[1])
	if row := s.Matrix.Rows[key]; row != nil {
		for _, v := range row.Values {
			add(v)
		}
	}
	if s.Matrix.Include != nil {
		for _, combination := range s.Matrix.Include.Combinations {
			if a := combination.Assigns[key]; a != nil {
				add(a.Value)
			}
		}
	}
	if len(values) == 0 {
		return []string{text}
	}
	var all []string
	for _, v := range values {
		all = append(all, inMatrix(s, strings.ReplaceAll(text, m[0], v))...)
	}
	return all
}

// pushedTags reports the moving tags that steps push without computing them.
func (c *Pipelines) pushedTags() {
	seen := map[string]bool{}
	for _, w := range c.flows {
		for _, j := range w.jobs {
			for _, p := range slices.Concat(pushedBySteps(w, j), pushedByCommands(j.commands)) {
				if !w.moves(p.Tag) || seen[p.Reference.String()] {
					continue
				}
				seen[p.Reference.String()] = true
				c.add(tagMutable.In(p.place, "%s is pushed, and the tag %s names another image after each run",
					p.Reference, p.Tag), "Push a tag with the commit, such as sha-${GITHUB_SHA::7}.")
			}
		}
	}
}

// Creation is an object that a command in a workflow creates.
type Creation struct {
	Kind, Name string
	Place      finding.Place
}

// Creates returns the Secrets and ConfigMaps that the workflows create with kubectl.
func (c *Pipelines) Creates() []Creation {
	var all []Creation
	add := func(commands []command) {
		for _, cmd := range commands {
			args := kubectl(cmd)
			switch {
			case says(args, "create", "secret") && len(args) > 3:
				all = append(all, Creation{"Secret", args[3].text, cmd.words[0].place})
			case (says(args, "create", "configmap") || says(args, "create", "cm")) && len(args) > 2:
				all = append(all, Creation{"ConfigMap", args[2].text, cmd.words[0].place})
			}
		}
	}
	for _, w := range c.flows {
		for _, j := range w.jobs {
			add(j.commands)
		}
	}
	for _, j := range c.gitlab {
		add(j.commands)
	}
	return all
}
