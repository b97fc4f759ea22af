package project

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Files of CI platforms.
var pipelines = []string{".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitlab-ci.yml",
	".circleci/config.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml", "cloudbuild.yaml", "Jenkinsfile",
	".drone.yml", ".woodpecker.yml", ".woodpecker/*.yml", ".gitea/workflows/*.yml", ".forgejo/workflows/*.yml"}

// deployCommand matches the commands with which a pipeline deploys.
var deployCommand = regexp.MustCompile(
	`\b(kubectl\s+(?:[-\w=./]+\s+)*?(?:apply|replace|set\s+image|rollout\s+restart|create\s+-f)` +
		`|helm\s+(?:[-\w=./]+\s+)*?(?:upgrade|install)|helmfile\s+(?:[-\w=./]+\s+)*?(?:apply|sync)` +
		`|skaffold\s+(?:run|deploy|apply)|kapp\s+deploy|werf\s+converge|kluctl\s+deploy` +
		`|argocd\s+app\s+(?:sync|set)` +
		`|tanka?\s+apply|cdk8s\s+apply|azure/k8s-deploy|deliverybot/helm)\b`)

// Deployers returns what deploys the project in a directory already, as far as its files say, each with the
// file.
func Deployers(dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	return walk(root.FS()).deployers(), nil
}

func (l layout) deployers() []string {
	var found []string
	seen := map[string]bool{}
	add := func(what, file string) {
		if !seen[what] {
			found = append(found, fmt.Sprintf("%s (%s)", what, file))
		}
		seen[what] = true
	}
	for _, dir := range l.dirs {
		for _, name := range l.files[dir] {
			file := path.Join(dir, name)
			switch {
			case isBeside(dir) || l.inChart(dir):
			case slices.Contains([]string{"helmfile.yaml", "helmfile.yml", "helmfile.yaml.gotmpl"}, name):
				add("helmfile", file)
			case name == "werf.yaml":
				add("werf", file)
			case name == ".kluctl.yaml":
				add("kluctl", file)
			case isYAML(name):
				if what := controller(l.text(file)); what != "" {
					add(what, file)
				}
			}
		}
	}
	for _, pattern := range pipelines {
		files, _ := fs.Glob(l.fs, pattern)
		for _, file := range files {
			for i, line := range bytes.Split(l.text(file), []byte("\n")) {
				m := deployCommand.Find(line)
				if m != nil && !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
					words := strings.Fields(string(m))
					what := words[0]
					if len(words) > 1 {
						what += " " + words[len(words)-1]
					}
					add("`"+what+"`", fmt.Sprintf("%s:%d", file, i+1))
				}
			}
		}
	}
	return found
}

var (
	argoDeploys = regexp.MustCompile(`(?m)^kind:\s*["']?(Application|ApplicationSet)["']?\s*$`)
	fluxDeploys = regexp.MustCompile(`(?m)^apiVersion:\s*["']?(kustomize|helm)\.toolkit\.fluxcd\.io/`)
)

// controller is the one that an object tells what to deploy.
func controller(text []byte) string {
	switch {
	case fluxDeploys.Match(text):
		return "Flux"
	case argoDeploys.Match(text) && bytes.Contains(text, []byte("argoproj.io/")):
		return "Argo CD"
	}
	return ""
}
