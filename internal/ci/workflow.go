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

// Project is the part of a project that its workflow depends on.
type Project struct {
	Name string
	// Directory is where the project is, relative to the root of the repository; empty for the root itself.
	Directory string
	Branch    string
	// Stages are in the order in which a commit passes them.
	Stages []Stage
	// Builds is set where the project has images, Copies where stages have repositories of their own.
	Builds, Copies bool
	// Registries are the hosts that images are pushed to.
	Registries []string
	// Signing is how the build signs images; empty: it does not.
	Signing Signing
	// Install is what jobs download; the zero value leaves it to the user.
	Install Download
	// GitOps: the job of a stage commits which images it runs, and a GitOps agent deploys them.
	GitOps bool
}

// Download is a file of a release: the archive of slipway for linux/amd64, with its SHA-256 in hex.
type Download struct{ URL, SHA256 string }

// Signing is a way of signing images.
type Signing string

// The ways of signing: with the identity that the platform confirms for the job, or with a key from the
// platform's secrets.
const (
	Keyless Signing = "keyless"
	Key     Signing = "key"
)

// Workflow returns the text of the workflow file.
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

// page is the data of the templates.
type page struct{ Project }

// Build is the command of the build job.
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

// Previous are the stages that pull requests are planned for. A job that can plan can also deploy, so
// production is planned from the branch only.
func (p page) Previous() []Stage {
	return slices.DeleteFunc(slices.Clone(p.Stages), func(s Stage) bool { return s.Production })
}

// job is a job of a stage.
type job struct {
	Project
	Stage     Stage
	ID, Needs string
	// From is the promote job of the previous stage; nil for the first stage.
	From *job
}

// Jobs are the jobs of a stage by kind: plan and deploy, or promote.
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

// quote writes a text as JSON, which is also YAML.
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

// sealed adds the first line, by which Renew recognizes a text.
func sealed(whose, text string) string {
	return fmt.Sprintf("%s%s %s\n%s", seal, whose, sum(text), text)
}

// sum is the checksum of a text without the user's parts.
func sum(text string) string {
	digest := sha256.Sum256([]byte(replaceParts(text, func(string, string) string { return "" })))
	return hex.EncodeToString(digest[:])[:16]
}

// replaceParts replaces the body of each part between marks, which belong to the user.
func replaceParts(text string, change func(name, body string) string) string {
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
	if inside { // the end mark was deleted, so the part has no end
		return b.String() + body.String()
	}
	return b.String()
}

// Renew returns the new text with the user's parts of the old one. ok is false where the old text was not
// written for this project, was edited outside the user's parts, or has a filled part that the new one lacks.
func Renew(old, text string) (renewed string, ok bool) {
	first, rest, _ := strings.Cut(old, "\n")
	head, _, _ := strings.Cut(text, "\n")
	owner := head[:strings.LastIndexByte(head, ' ')+1]
	if strings.TrimSuffix(first, "\r") != owner+sum(rest) || owner == "" {
		return "", false
	}
	filled := map[string]string{}
	replaceParts(rest, func(name, body string) string {
		if isFilled(body) {
			filled[name] = body
		}
		return ""
	})
	renewed = replaceParts(text, func(name, body string) string {
		if old, ok := filled[name]; ok {
			delete(filled, name)
			return old
		}
		return body
	})
	return renewed, len(filled) == 0
}

// isFilled tells whether a part has more than comments.
func isFilled(body string) bool {
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return true
		}
	}
	return false
}
