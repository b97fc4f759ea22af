package ci

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

//go:embed *.yml.tmpl
var templates embed.FS

// Stage is an environment that the workflow deploys.
type Stage struct {
	Name string
	// Context is the kubeconfig context that the login must make.
	Context    string
	Production bool
}

// Project is what the workflow is for.
type Project struct {
	Name string
	// Directory is where the project is, relative to the root of the repository; empty for the root itself.
	Directory string
	Branch    string
	// Stages are in the order in which a commit passes them.
	Stages []Stage
	// Builds: there are images to build. Copies: stages have repositories of their own.
	Builds, Copies bool
	// Registries are the hosts that images are pushed to.
	Registries []string
	// Signing is how images are signed when they are built; empty: not at all.
	Signing Signing
	// GitOps: a stage's job ends at a commit, and whoever keeps the environment deploys it.
	GitOps bool
}

// Signing is a way of signing images.
type Signing string

// The ways: as the job itself, whose identity the platform vouches for, or with a key that the platform
// keeps.
const (
	Keyless Signing = "keyless"
	Key     Signing = "key"
)

// Workflow returns the text of the workflow file. Named and File say where it is written.
func (p Platform) Workflow(of Project) (string, error) {
	owns := func(host string) bool { return host == p.registry }
	t := template.New("").Delims("<%", "%>").Funcs(template.FuncMap{
		"json": quote,
		"file": func() string { return p.file(of) },
		"own":  owns,
		// some tells whether one of the registries accepts the job's own token, or whether one does not.
		"some": func(of Project, own bool) bool {
			return slices.ContainsFunc(of.Registries, func(host string) bool { return owns(host) == own })
		},
	})
	t, err := t.ParseFS(templates, "*.yml.tmpl")
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, p.Name+".yml.tmpl", page{of}); err != nil {
		return "", err
	}
	return sealed(p.Name+" "+of.Name, strings.TrimRight(b.String(), "\n")+"\n"), nil
}

// page is what the templates see.
type page struct{ Project }

// Build is what the job that builds runs.
func (p page) Build() string {
	command := "slipway build " + p.Stages[0].Name
	switch p.Signing {
	case Keyless:
		command += " --sign"
	case Key:
		command += " --sign --key env://COSIGN_PRIVATE_KEY"
	}
	return command
}

// Previous are the stages that pull requests are planned for. What can plan can deploy, so production is
// planned from the branch alone.
func (p page) Previous() []Stage {
	return slices.DeleteFunc(slices.Clone(p.Stages), func(s Stage) bool { return s.Production })
}

// job is one that a stage has in the workflow.
type job struct {
	Project
	Stage     Stage
	ID, Needs string
	// From is the stage before, with the job that commits what it runs; nil: there is none.
	From *job
}

// Jobs are a stage's: what is planned, and what is deployed.
func (p page) Jobs(s Stage) map[string]job {
	if p.GitOps {
		promote := job{Project: p.Project, Stage: s, ID: "promote-" + id(s.Name), Needs: "build"}
		if i := slices.Index(p.Stages, s); i > 0 {
			before := p.Jobs(p.Stages[i-1])["promote"]
			promote.Needs, promote.From = before.ID, &before
		}
		return map[string]job{"promote": promote}
	}
	needs := "check"
	if i := slices.Index(p.Stages, s); i > 0 {
		needs = "deploy-" + id(p.Stages[i-1].Name)
	} else if p.Builds {
		needs = "build"
	}
	plan, deploy := job{p.Project, s, "plan-" + id(s.Name), "check", nil},
		job{p.Project, s, "deploy-" + id(s.Name), needs, nil}
	if s.Production {
		plan.Needs, deploy.Needs = needs, plan.ID
	}
	return map[string]job{"plan": plan, "deploy": deploy}
}

func id(name string) string { return notInID.ReplaceAllString(name, "-") }

var notInID = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// quote writes a text as YAML and shell-free JSON read it alike.
func quote(text string) (string, error) {
	b, err := json.Marshal(text)
	return string(b), err
}

// ToFill marks the parts of a workflow that must be filled in.
const ToFill = "FILL IN"

const (
	seal  = "# slipway ci: "
	begin = "# >>> yours: "
	end   = "# <<< yours"
)

// sealed puts a first line before a text, by which it is known again.
func sealed(whose, text string) string {
	return fmt.Sprintf("%s%s %s\n%s", seal, whose, sum(text), text)
}

// sum is of what is ours in a text.
func sum(text string) string {
	digest := sha256.Sum256([]byte(mapOwn(text, func(string, string) string { return "" })))
	return hex.EncodeToString(digest[:])[:16]
}

// mapOwn changes what stands between the marks of each part that is the person's.
func mapOwn(text string, change func(name, body string) string) string {
	var b, body strings.Builder
	name, inside := "", false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case inside && trimmed == end:
			b.WriteString(change(name, body.String()) + line)
			inside = false
		case inside:
			body.WriteString(line)
		default:
			b.WriteString(line)
			if name, inside = strings.CutPrefix(trimmed, begin); inside {
				body.Reset()
			}
		}
	}
	if inside { // its end was deleted: nothing is the person's alone
		return b.String() + body.String()
	}
	return b.String()
}

// Renew is the new text with what the person wrote into the parts that are theirs. It is false where the
// old one is not ours for this project, was changed elsewhere, or has such a part that the new one lacks.
func Renew(old, text string) (string, bool) {
	first, rest, _ := strings.Cut(old, "\n")
	head, _, _ := strings.Cut(text, "\n")
	owner := head[:strings.LastIndexByte(head, ' ')+1]
	if strings.TrimSuffix(first, "\r") != owner+sum(rest) || owner == "" {
		return "", false
	}
	theirs := map[string]string{}
	mapOwn(rest, func(name, body string) string {
		if isFilled(body) {
			theirs[name] = body
		}
		return ""
	})
	renewed := mapOwn(text, func(name, body string) string {
		if old, ok := theirs[name]; ok {
			delete(theirs, name)
			return old
		}
		return body
	})
	return renewed, len(theirs) == 0
}

// isFilled says that a part holds more than comments.
func isFilled(body string) bool {
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}
