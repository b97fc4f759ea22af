package workflow

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
	"slipway/internal/project"
)

// environment is rendered from "KIND NAME [IMAGE]".
func environment(t *testing.T, name string, class project.Class, objects ...string) Environment {
	t.Helper()
	e := Environment{Name: name, Class: class}
	for _, text := range objects {
		f := append(strings.Fields(text), "")
		body := map[string]any{"apiVersion": "apps/v1", "kind": f[0], "metadata": map[string]any{"name": f[1]}}
		if f[2] != "" {
			body["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": f[2]}}}}}
		}
		o, err := object.New(body, object.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// documentsOf parses what read returns.
func documentsOf(read func(string) ([]byte, bool)) func(string) *yaml.Node {
	return func(name string) *yaml.Node {
		text, _ := read(name)
		var doc yaml.Node
		if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
			return nil
		}
		return doc.Content[0]
	}
}

// check gives "rule severity line:column" of each finding, and fails on unchecked parts.
func check(t *testing.T, text string, p Project) []string {
	t.Helper()
	findings, unchecked := Read([]File{{".github/workflows/w.yml", []byte(text)}}, p).Check()
	for _, u := range unchecked {
		t.Errorf("unchecked: %+v", u)
	}
	var out []string
	for _, f := range findings {
		t.Logf("%s %s %s %v: %s", f.Rule, f.Severity, f.Place, f.Field, f.Message)
		if f.Field != "" {
			out = append(out, fmt.Sprintf("%s %s %s %s", f.Rule, f.Severity, f.Object.Name, f.Field))
			continue
		}
		line := fmt.Sprintf("%s %s %d:%d", f.Rule, f.Severity, f.Place.Line, f.Place.Column)
		if path.Base(f.Place.File) != "w.yml" {
			line += " " + f.Place.File
		}
		out = append(out, line)
	}
	return out
}

// The faults of the tutorial's pipeline, each where it is written.
func TestTutorial(t *testing.T) {
	root := "../../../examples/tutorial"
	text, err := os.ReadFile(root + "/.github/workflows/deploy.yml")
	if err != nil {
		t.Fatal(err)
	}
	p := Project{
		Environments: []Environment{
			environment(t, "dev", project.Local, "Deployment myapp", "Service myapp"),
			environment(t, "prod", project.Production, "Deployment prod-myapp ghcr.io/acme/myapp:sha-abc123",
				"Service prod-myapp"),
		},
		Read: func(name string) ([]byte, bool) {
			b, err := os.ReadFile(filepath.Join(root, name))
			return b, err == nil
		},
	}
	p.Document = documentsOf(p.Read)
	want := []string{
		"tag-length error prod-myapp spec.template.spec.containers[name=c].image",
		"no-concurrency warning 8:3",
		"no-environment warning 8:3",
		"action-unpinned warning 14:15",
		"action-unpinned warning 16:15",
		"action-unpinned warning 18:15",
		"action-unpinned warning 25:15",
		"image-version warning 30:13",
		"tag-mutable warning 30:13",
		"tag-never warning 31:13",
		"action-unpinned warning 33:15",
		"kubeconfig-workspace warning 41:46",
		"no-wait warning 43:11",
		"set-image-live warning 43:11",
		"deploy-name error 43:29",
		"tag-length error 55:19",
		"tag-length error 62:19",
		"helm-set-precedence warning 62:40",
		"set-image-live warning 66:11",
		"deploy-name error 66:29",
		"tag-length warning 66:46",
	}
	if diff := cmp.Diff(want, check(t, string(text), p)); diff != "" {
		t.Error(diff)
	}
}

const pinned = "0123456789012345678901234567890123456789"

// good is a workflow with nothing to find; the cases below change it.
const good = `on:
  push:
    branches: [main]
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    concurrency: deploy
    steps:
      - id: meta
        uses: docker/metadata-action@PINNED # v6
        with:
          images: ghcr.io/acme/api
          flavor: latest=false
          tags: |
            # the commit
            type=sha
      - uses: docker/build-push-action@PINNED
        with:
          push: true
          tags: ${{ steps.meta.outputs.tags }}
          labels: ${{ steps.meta.outputs.labels }}
      - run: |
          printf '%s' "${{ secrets.KUBECONFIG }}" > "$RUNNER_TEMP/kubeconfig"
          cd overlays/prod && kustomize edit set image api=ghcr.io/acme/api:sha-${GITHUB_SHA::7}
          kustomize build . | kubectl apply -f -
          kubectl rollout status deployment/prod-api --timeout 5m
`

func TestRules(t *testing.T) {
	tests := map[string]struct {
		change []string // old, new, …
		want   []string
		files  map[string]string
	}{
		"good": {},
		"syntax": {change: []string{"environment: production", "environmen: production"},
			want: []string{"no-environment warning 5:3", "workflow-syntax error 7:5"}},
		"property": {change: []string{"steps.meta.outputs.labels", "steps.mta.outputs.labels"},
			want: []string{"workflow-syntax warning 22:23"}},
		"label of one's own": {change: []string{"ubuntu-latest", "our-runner"}},

		"old name": {change: []string{"status deployment/prod-api", "status deployment/api"},
			want: []string{"deploy-name error 27:34"}},
		"old name, apart": {change: []string{"status deployment/prod-api", "status -n x deploy api"},
			want: []string{"deploy-name error 27:39"}},
		"old name, quoted": {change: []string{"status deployment/prod-api", "status 'deployment/api'"},
			want: []string{"deploy-name error 27:34"}},
		"old name, patched": {change: []string{"kubectl rollout status deployment/prod-api",
			"kubectl wait --for=condition=Available deployment/api"}, want: []string{"deploy-name error 27:50"}},
		"another's name":       {change: []string{"status deployment/prod-api", "status deployment/redis"}},
		"name of another kind": {change: []string{"status deployment/prod-api", "status ds/api"}},
		"name by variable":     {change: []string{"status deployment/prod-api", "status deployment/$NAME"}},
		"name in a comment": {change: []string{"kustomize build .",
			"# kubectl set image deployment/api\n          kustomize build ."}},

		"set image": {change: []string{"kustomize build . | kubectl apply -f -",
			"kubectl set image deployment/prod-api c=ghcr.io/acme/api:sha-${GITHUB_SHA::7}"},
			want: []string{"set-image-live warning 26:11"}},
		"set image, locally": {change: []string{"kustomize build . |",
			"kubectl set image -f x.yaml c=y --local -o yaml |"}},

		"semver without tags": {change: []string{"type=sha\n",
			"type=sha\n            type=semver,pattern={{version}}\n"}, want: []string{"tag-never warning 18:13"}},
		"pr without pulls": {change: []string{"type=sha\n", "type=sha\n            type=ref,event=pr\n"},
			want: []string{"tag-never warning 18:13"}},
		"schedule without one": {change: []string{"type=sha\n", "type=sha\n            type=schedule\n"},
			want: []string{"tag-never warning 18:13"}},
		"edge with tags alone": {change: []string{"branches: [main]", "tags: ['v*']", "type=sha\n",
			"type=sha\n            type=edge\n"}, want: []string{"tag-never warning 18:13"}},
		"semver with tags": {change: []string{"branches: [main]", "tags: ['v*']", "type=sha\n",
			"type=sha\n            type=semver,pattern={{version}}\n"}},
		"semver, any push": {change: []string{"  push:\n    branches: [main]", "  push:", "type=sha\n",
			"type=sha\n            type=semver,pattern={{version}}\n"}},
		"semver by hand": {change: []string{"on:\n", "on:\n  workflow_dispatch:\n", "type=sha\n",
			"type=sha\n            type=semver,pattern={{version}}\n"}},
		"semver with a value": {change: []string{"type=sha\n",
			"type=sha\n            type=semver,pattern={{version}},value=v1.2.3\n"}},
		"never, switched off": {change: []string{"type=sha\n",
			"type=sha\n            type=ref,event=pr,enable=false\n"}},

		"latest": {change: []string{"type=sha\n", "type=sha,priority=1001\n            latest\n"},
			want: []string{"tag-mutable warning 18:13"}},
		"latest by flavor": {change: []string{"branches: [main]", "tags: ['v*']",
			"          flavor: latest=false\n", "", "type=sha\n",
			"type=semver,pattern={{version}}\n            type=sha\n"}, want: []string{"tag-mutable warning 16:13"}},
		"edge": {change: []string{"type=sha\n", "type=sha,priority=1001\n            type=edge\n"},
			want: []string{"tag-mutable warning 18:13"}},
		"moving, not pushed": {change: []string{"push: true", "push: false", "type=sha\n",
			"type=sha\n            type=ref,event=branch\n"}},
		"version of the branch": {change: []string{"type=sha\n", "type=sha\n            type=ref,event=branch\n"},
			want: []string{"image-version warning 18:13", "tag-mutable warning 18:13"}},
		"without tags": {change: []string{"          tags: |\n            # the commit\n            type=sha\n",
			""}, want: []string{"tag-length error 22:56", "tag-mutable warning 11:15"}},

		"whole commit": {change: []string{"sha-${GITHUB_SHA::7}", "sha-$GITHUB_SHA"},
			want: []string{"tag-length error 25:56"}},
		"whole commit by expression": {change: []string{"sha-${GITHUB_SHA::7}", "sha-${{ github.sha }}"},
			want: []string{"tag-length error 25:56"}},
		"whole commit by variable": {change: []string{"      - run: |\n",
			"      - env: {GIT_SHA: '${{ github.sha }}'}\n        run: |\n", "sha-${GITHUB_SHA::7}", "sha-$GIT_SHA"},
			want: []string{"tag-length error 26:56"}},
		"whole commit, in the shell": {change: []string{"          cd",
			"          TAG=sha-$(git rev-parse HEAD)\n          cd", "sha-${GITHUB_SHA::7}", "$TAG"},
			want: []string{"tag-length error 26:56"}},
		"unset variable": {change: []string{"sha-${GITHUB_SHA::7}", "sha-$GIT_SHA"},
			want: []string{"tag-length warning 25:56"}},
		"variable of a step": {change: []string{"          cd",
			"          read GIT_SHA < file\n          cd", "sha-${GITHUB_SHA::7}", "sha-$GIT_SHA"}},
		"six characters": {change: []string{"sha-${GITHUB_SHA::7}", "sha-abc123"},
			want: []string{"tag-length error 25:56"}},
		"seven characters": {change: []string{"sha-${GITHUB_SHA::7}", "sha-abc1234"}},
		"short, cut": {change: []string{"sha-${GITHUB_SHA::7}",
			"sha-$(echo $GITHUB_SHA | cut -c1-7)"}},
		"short by variable": {change: []string{"          cd",
			"          SHORT=${GITHUB_SHA:0:7}\n          cd", "sha-${GITHUB_SHA::7}", "sha-$SHORT"}},
		"long in both": {change: []string{"type=sha\n", "type=sha,format=long\n",
			"sha-${GITHUB_SHA::7}", "sha-$GITHUB_SHA"}},
		"long, made by hand": {change: []string{"type=sha\n",
			"type=sha\n            type=raw,value=sha-${{ github.sha }}\n", "sha-${GITHUB_SHA::7}",
			"sha-$GITHUB_SHA"}},
		"another length by setting": {change: []string{"        with:\n          images",
			"        env: {DOCKER_METADATA_SHORT_SHA_LENGTH: 8}\n        with:\n          images",
			"SHA::7", "SHA::8"}},
		"another image": {change: []string{"ghcr.io/acme/api:sha-${GITHUB_SHA::7}",
			"ghcr.io/acme/web:sha-$GITHUB_SHA"}},
		"pushed by hand too": {change: []string{"          cd",
			"          docker push ghcr.io/acme/api:sha-$GITHUB_SHA\n          cd", "sha-${GITHUB_SHA::7}",
			"sha-$GITHUB_SHA"}},

		"no wait": {change: []string{"kubectl rollout status", "kubectl get"},
			want: []string{"no-wait warning 26:31"}},
		"helm waits": {change: []string{"kubectl rollout status deployment/prod-api --timeout 5m",
			"helm upgrade x ./x --wait"}},
		"applies a secret only": {change: []string{"kustomize build .",
			"kubectl create secret generic x --dry-run=client -o yaml", "kubectl rollout status", "kubectl get",
			"    environment: production\n", ""}},
		"no concurrency": {change: []string{"    concurrency: deploy\n", ""},
			want: []string{"no-concurrency warning 5:3"}},
		"concurrency of all": {change: []string{"    concurrency: deploy\n", "", "jobs:\n",
			"concurrency: deploy\njobs:\n"}},
		"no environment": {change: []string{"    environment: production\n", ""},
			want: []string{"no-environment warning 5:3"}},
		"a cluster of its own": {change: []string{"    environment: production\n    concurrency: deploy\n", "",
			"          cd", "          kind create cluster\n          cd", "rollout status deployment/prod-api",
			"get deployment/api"}},

		"kubeconfig": {change: []string{"$RUNNER_TEMP/kubeconfig", "kubeconfig"},
			want: []string{"kubeconfig-workspace warning 24:53"}},
		"kubeconfig, decoded": {change: []string{"printf '%s' \"${{ secrets.KUBECONFIG }}\" >",
			"echo ${{ secrets.KUBE }} | base64 -d >", "$RUNNER_TEMP/kubeconfig", "config"},
			want: []string{"kubeconfig-workspace warning 24:50"}},
		"kubeconfig, by variable": {change: []string{"      - run: |\n",
			"      - env: {K: '${{ secrets.KUBE }}'}\n        run: |\n", "${{ secrets.KUBECONFIG }}", "$K",
			"$RUNNER_TEMP/kubeconfig", "k"}, want: []string{"kubeconfig-workspace warning 25:30"}},
		"kubeconfig, who knows where": {change: []string{"$RUNNER_TEMP/kubeconfig", "$FILE"}},
		"kubeconfig at home":          {change: []string{"$RUNNER_TEMP/kubeconfig", "$HOME/.kube/config"}},
		"another secret": {change: []string{"secrets.KUBECONFIG", "secrets.NPM",
			"$RUNNER_TEMP/kubeconfig", ".npmrc"}},

		"by tag": {change: []string{"build-push-action@PINNED", "build-push-action@v6"},
			want: []string{"action-unpinned warning 18:15"}},
		"local action": {change: []string{"      - run: |\n", "      - uses: ./action\n      - run: |\n"}},

		"helm, weaker later": {change: []string{"          kubectl rollout",
			"          helm upgrade x ./x --atomic --set-string a=1 --set a=2\n          kubectl rollout"},
			want: []string{"helm-set-precedence warning 27:62"}},
		"helm, stronger later": {change: []string{"          kubectl rollout",
			"          helm upgrade x ./x --atomic --set a=2 --set-string a=1\n          kubectl rollout"}},
		"helm, files in order": {change: []string{"          kubectl rollout",
			"          helm upgrade x ./x -f a.yaml -f b.yaml # the last file wins\n          kubectl rollout"}},
		"helm, tag of the chart": {
			change: []string{"          kubectl rollout",
				"          helm upgrade x ./chart -f prod.yaml\n          kubectl rollout"},
			files: map[string]string{"chart/Chart.yaml": "", "chart/values.yaml": "image: {repository: a, tag: dev}",
				"prod.yaml": "image: {repository: b}"},
			want: []string{"helm-tag-default warning 27:11"},
		},
		"helm, tag given": {
			change: []string{"          kubectl rollout", "          helm upgrade x ./chart -f prod.yaml --set " +
				"image.tag=sha-${GITHUB_SHA::7}\n          kubectl rollout"},
			files: map[string]string{"chart/Chart.yaml": "", "chart/values.yaml": "image: {repository: a, tag: dev}",
				"prod.yaml": "image: {repository: b}"},
		},

		"script": {
			change: []string{"          kubectl rollout status deployment/prod-api --timeout 5m",
				"          bash ci/deploy.sh"},
			files: map[string]string{"ci/deploy.sh": "set -e\nkubectl rollout status deployment/api\n"},
			want:  []string{"deploy-name error 2:24 ci/deploy.sh"},
		},
		"another shell": {change: []string{"      - run: |\n", "      - shell: pwsh\n        run: |\n",
			"status deployment/prod-api", "status deployment/api"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := good
			for i := 0; i < len(tt.change); i += 2 {
				if !strings.Contains(text, tt.change[i]) {
					t.Fatalf("no %q", tt.change[i])
				}
				text = strings.ReplaceAll(text, tt.change[i], tt.change[i+1])
			}
			p := Project{
				Environments: []Environment{environment(t, "prod", project.Production, "Deployment prod-api",
					"Service prod-api")},
				Read: func(name string) ([]byte, bool) {
					b, ok := tt.files[name]
					return []byte(b), ok
				},
			}
			p.Document = documentsOf(p.Read)
			got := check(t, strings.ReplaceAll(text, "PINNED", pinned), p)
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is written in a workflow, the check says something and goes on.
func FuzzCheck(f *testing.F) {
	f.Add(strings.ReplaceAll(good, "PINNED", "v1"))
	f.Add("on: push\njobs: {a: {runs-on: x, steps: [{run: 'helm upgrade a b -f'}, {uses: " +
		"docker/metadata-action@v5}, {run: }, {uses: }]}}")
	f.Fuzz(func(t *testing.T, text string) {
		findings, _ := Read([]File{{".github/workflows/w.yml", []byte(text)}}, Project{}).Check()
		for _, found := range findings {
			if found.Message == "" || found.Place.File == "" {
				t.Errorf("%+v", found)
			}
		}
	})
}
