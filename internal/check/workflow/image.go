package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rhysd/actionlint"

	"slipway/internal/check/finding"
	"slipway/internal/image/metadata"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/project"
)

// build is one step that computes tags.
type build struct {
	*flow
	step    finding.Place
	line    func(line, column int) finding.Place // within the input "tags"; nil: none
	entries []metadata.Entry
	flavor  metadata.Flavor
	images  []string
	short   int // how long a short commit is; 0: unknown
}

// metadata collects the tags that a job's steps build.
func (c *Pipelines) metadata(w *flow, j job) {
	for _, step := range j.Steps {
		exec, ok := step.Exec.(*actionlint.ExecAction)
		if !ok || !strings.HasPrefix(value(exec.Uses), "docker/metadata-action@") {
			continue
		}
		in := func(name string) *actionlint.String {
			if i := exec.Inputs[name]; i != nil {
				return i.Value
			}
			return nil
		}
		env := environ(environ(environ(nil, w.Env), j.Env), step.Env)
		b := build{flow: w, step: w.at(exec.Uses), short: 7}
		b.flavor, _ = metadata.ParseFlavor(value(in("flavor"))) // a value that the run computes is not a fault
		if n, set := env["DOCKER_METADATA_SHORT_SHA_LENGTH"]; set {
			b.short, _ = strconv.Atoi(n)
		}
		text := value(in("tags"))
		entries, err := metadata.ParseTags(text)
		if err != nil || expression().MatchString(text) && !strings.Contains(text, "type=") ||
			value(in("context")) == "git" {
			c.unchecked = append(c.unchecked, finding.Unchecked{Place: b.step, What: "the image's tags",
				Why: "only a run knows them"})
			continue
		}
		b.entries = entries
		if s := in("tags"); s != nil {
			b.line = w.inside(s)
		}
		for _, image := range strings.FieldsFunc(value(in("images")), func(r rune) bool {
			return r == '\n' || r == ','
		}) {
			name := normal(strings.TrimPrefix(strings.TrimSpace(image), "name="), env)
			b.images = append(b.images, inMatrix(j.Strategy, name)...)
		}
		c.builds = append(c.builds, b)
	}
}

// at is where an entry is written.
func (b build) at(e metadata.Entry) finding.Place {
	if b.line == nil {
		return b.step
	}
	return b.line(e.Line+1, 1)
}

func (b build) fires(e metadata.Entry) bool {
	return slices.ContainsFunc(b.on, func(on string) bool { return fires(e, on) })
}

// tags compares a step's entries with the workflow's triggers.
func (c *Pipelines) tags(b build) {
	pushes := b.pushes()
	for _, e := range b.entries {
		switch {
		case e.Attrs["enable"] == "false":
		case !b.fires(e):
			if b.line != nil {
				c.add(tagNever.In(b.at(e), "%s never fires: it needs %s, and only %s starts the workflow",
					e.Text, needs(e), b.started()), "Add the trigger under `on:`, or remove the entry.")
			}
		case !pushes:
		case e.Moves():
			when := "each run"
			if e.Type == "semver" || e.Type == "pep440" {
				when = "the next release"
			}
			c.add(tagMutable.In(b.at(e), "%s pushes %s, which names another image after %s", e.Text, b.named(e), when),
				"Remove the entry.")
		}
	}
	if i := slices.IndexFunc(b.entries, func(e metadata.Entry) bool {
		return b.fires(e) && latest(b.flavor, e)
	}); i >= 0 && pushes {
		c.add(tagMutable.In(b.at(b.entries[i]), "%s also pushes the tag latest: flavor latest=auto adds it",
			b.entries[i].Text),
			"Set `flavor: latest=false`.")
	} else if b.flavor.Latest == "true" && pushes {
		c.add(tagMutable.In(b.step,
			"flavor latest=true pushes the tag latest, which names another image after each run"),
			"Set `flavor: latest=false`.")
	}
	if !strings.Contains(strings.Join(b.lines, "\n"), ".outputs.") || !pushes {
		return
	}
	if e, ok := b.version(); ok {
		c.add(imageVersion.In(b.at(e), "the version of every image is %s (org.opencontainers.image.version, "+
			"output version): %s outranks the commit",
			b.named(e), e.Text), "Remove the entry, or write type=sha,priority=1001.")
	}
}

// version returns the moving entry that names the version although an entry with the commit exists.
func (b build) version() (metadata.Entry, bool) {
	for _, on := range []string{onBranch, onSchedule} {
		if !slices.Contains(b.on, on) {
			continue
		}
		var first *metadata.Entry
		for _, e := range metadata.ByPriority(b.entries) {
			if !fires(e, on) {
				continue
			}
			if first == nil {
				first = &e
			}
			if text, ok := tagOf(e, b.flavor, b.short); ok && first.Moves() && strings.Contains(text, "<sha:") {
				return *first, true
			}
		}
	}
	return metadata.Entry{}, false
}

// named describes the tag of a moving entry.
func (b build) named(e metadata.Entry) string {
	switch {
	case e.Type == "ref" && len(b.branches) == 1 && !strings.ContainsAny(b.branches[0], "*?[!+"):
		return "the tag " + e.Attrs["prefix"] + b.branches[0] + e.Attrs["suffix"]
	case e.Type == "ref":
		return "a tag that is the branch's name"
	case e.Type == "raw":
		return "the tag " + e.Attrs["prefix"] + e.Attrs["value"] + e.Attrs["suffix"]
	case e.Type == "edge":
		return "the tag edge"
	case e.Type == "semver", e.Type == "pep440":
		return "a tag for a series of versions"
	}
	return "a fixed tag"
}

func (b build) started() string {
	what := strings.Join(b.on, " or ")
	if len(b.branches) > 0 && slices.Equal(b.on, []string{onBranch}) {
		return "a push to " + strings.Join(b.branches, ", ")
	}
	return what
}

// pushes reports whether a built image leaves the runner, which is the default.
func (w *flow) pushes() bool {
	builds := 0
	for _, j := range w.jobs {
		for _, step := range j.Steps {
			exec, ok := step.Exec.(*actionlint.ExecAction)
			if !ok || !strings.HasPrefix(value(exec.Uses), "docker/build-push-action@") {
				continue
			}
			builds++
			if push := exec.Inputs["push"]; exec.Inputs["outputs"] != nil || push != nil &&
				value(push.Value) != "false" {
				return true
			}
		}
	}
	return builds == 0
}

// elsewhere reports whether an image may get tags from commands that are not read here.
func (c *Pipelines) elsewhere(repository string) bool {
	unknown := func(text string) bool {
		return repository == "" || strings.Contains(text, repository) || strings.Contains(text, "$")
	}
	for _, w := range c.flows {
		for _, j := range w.jobs {
			for _, step := range j.Steps {
				if exec, ok := step.Exec.(*actionlint.ExecAction); ok && strings.HasPrefix(value(exec.Uses),
					"docker/build-push-action@") {
					for line := range strings.Lines(inputOf(exec, "tags")) {
						if !metaTags().MatchString(strings.TrimSpace(line)) && unknown(line) {
							return true
						}
					}
				}
			}
			for _, cmd := range j.commands {
				switch cmd.text(0) {
				case "docker", "podman", "buildah", "crane", "skopeo", "ko", "skaffold", "kaniko", "pack",
					"nerdctl", "regctl":
					if slices.ContainsFunc(cmd.words[1:], func(w word) bool {
						return unknown(w.text)
					}) || cmd.text(0) == "skaffold" {
						return true
					}
				}
			}
		}
	}
	return false
}

var metaTags = lazyregexp.New(`^\$\{\{\s*steps\.[\w-]+\.outputs\.tags\s*\}\}$`)

func inputOf(exec *actionlint.ExecAction, name string) string {
	if i := exec.Inputs[name]; i != nil {
		return value(i.Value)
	}
	return ""
}

var (
	commitTag   = lazyregexp.New(`^([^<]*)<sha:(\d+)>([^<]*)$`)
	unknownTag  = lazyregexp.New(`^([\w.-]*)\$\{?(\w*(?i:sha|commit)\w*)\}?$`)
	hexadecimal = lazyregexp.New(`^[0-9a-f]{4,40}$`)
)

// judge returns what is wrong with a deployed tag; empty where nothing is known to be. An empty repository
// stands for any image.
func (c *Pipelines) judge(w *flow, repository, tag string) (message string, sure bool) {
	var wanted []string
	var forms []string // <prefix><sha:n><suffix> that some entry builds
	var others []string
	for _, b := range c.builds {
		if repository != "" && !slices.Contains(b.images, repository) {
			continue
		}
		if b.short == 0 {
			return "", false
		}
		for _, e := range b.entries {
			if !b.fires(e) {
				continue
			}
			if e.Type != "sha" && e.Type != "raw" && e.Type != "match" {
				others = append(others, e.Text)
				continue
			}
			form, ok := tagOf(e, b.flavor, b.short)
			if !ok || form == tag {
				return "", false
			}
			if m := commitTag().FindStringSubmatch(form); m != nil {
				wanted = append(wanted, fmt.Sprintf("%s gives %s…%s with %s characters", e.Text, m[1], m[3], m[2]))
				forms = append(forms, form)
			}
		}
	}
	if len(forms)+len(others) == 0 || c.elsewhere(repository) {
		return "", false
	}
	if len(forms) == 0 {
		if !commitTag().MatchString(tag) {
			return "", false
		}
		return fmt.Sprintf("no tag rule builds a tag with the commit: the image is missing (the rules are %s)",
			strings.Join(slices.Compact(others), "; ")), true
	}
	built := strings.Join(wanted, ", ")
	if m := commitTag().FindStringSubmatch(tag); m != nil {
		return fmt.Sprintf("no tag rule builds %s…%s with %s characters of the commit: the image is missing (%s)",
			m[1], m[3],
			m[2], built), true
	}
	if m := unknownTag().FindStringSubmatch(tag); m != nil && w != nil && !w.sets(m[2]) &&
		slices.ContainsFunc(forms, func(f string) bool {
			return strings.HasPrefix(f, m[1]+"<")
		}) {
		return fmt.Sprintf("the workflow does not set $%s, and a full commit has 40 characters: "+
			"the image may be missing (%s)", m[2], built), false
	}
	for _, form := range forms {
		m := commitTag().FindStringSubmatch(form)
		rest, ok := strings.CutPrefix(tag, m[1])
		rest, end := strings.CutSuffix(rest, m[3])
		if ok && end && strconv.Itoa(len(rest)) == m[2] {
			return "", false
		}
		if ok && end && m[1] != "" && hexadecimal().MatchString(rest) {
			message = fmt.Sprintf("no tag rule builds %s, with %d characters: the image is missing (%s)", tag,
				len(rest), built)
		}
	}
	return message, message != ""
}

// sets reports whether the workflow mentions a variable other than to use it.
func (w *flow) sets(name string) bool {
	for _, line := range w.lines {
		for _, at := range regexp.MustCompile(`\b`+name+`\b`).FindAllStringIndex(line, -1) {
			if before := strings.TrimSuffix(line[:at[0]], "{"); !strings.HasSuffix(before, "$") {
				return true
			}
		}
	}
	return false
}

// length checks the tags in a deploy command.
func (c *Pipelines) length(w *flow, cmd command) {
	for _, word := range cmd.words {
		for _, b := range c.builds {
			for _, image := range b.images {
				at := strings.Index(word.text, image+":")
				if at < 0 || at > 0 && word.text[at-1] != '=' {
					continue
				}
				tag, _, _ := strings.Cut(word.text[at+len(image)+1:], "@")
				c.tagged(w, image, tag, word.place)
			}
		}
	}
	if cmd.text(0) != "helm" {
		return
	}
	for _, s := range settings(cmd) {
		if s.key == "tag" || strings.HasSuffix(s.key, ".tag") {
			c.tagged(w, "", s.value, s.place)
		}
	}
}

func (c *Pipelines) tagged(w *flow, image, tag string, place finding.Place) {
	message, sure := c.judge(w, image, tag)
	if message == "" {
		return
	}
	f := tagLength.In(place, "%s", message)
	if !sure {
		f.Severity = finding.Warning
	}
	if !slices.ContainsFunc(c.findings, func(o finding.Finding) bool {
		return o.Place == place && o.Rule == f.Rule
	}) {
		fix := "Deploy the tag that is built: sha-${GITHUB_SHA::7} for type=sha."
		if strings.Contains(message, "no tag rule builds a tag with the commit") {
			fix = "Add `type=sha,format=long,prefix=` to the tags."
		}
		c.add(f, fix)
	}
}

// rendered compares the environments' images with the tags that are built.
func (c *Pipelines) rendered() {
	for _, env := range c.Environments {
		if env.Class == project.Local {
			continue
		}
		for _, o := range env.Set.Objects() {
			spec, path, _ := o.PodSpec()
			for _, container := range object.Containers(spec, path) {
				image, _ := container.Body["image"].(string)
				r := reference.Parse(image)
				if r.Tag == "" || r.Digest != "" {
					continue
				}
				if message, sure := c.judge(nil, r.Repository, r.Tag); sure {
					f := tagLength.New(o, container.Path+".image", "%s", message)
					f.Environments = []string{env.Name}
					c.add(f, "Use a tag that is built.")
				}
			}
		}
	}
}
