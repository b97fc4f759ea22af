package workflow

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/image/reference"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

// ranks are Helm's kinds of values; later ones override earlier ones.
var ranks = []string{"--values", "--set-json", "--set", "--set-string", "--set-file", "--set-literal"}

// setting is one value that a flag of a helm command sets. A values file has no key and no value.
type setting struct {
	rank       int
	key, value string
	place      finding.Place
}

// settings returns what a command's flags set, in their order.
func settings(c command) []setting {
	var all []setting
	for i := 1; i < len(c.words); i++ {
		flag, text, joined := strings.Cut(c.words[i].text, "=")
		if flag == "-f" {
			flag = ranks[0]
		}
		rank := slices.Index(ranks, flag)
		if rank < 0 {
			continue
		}
		place := c.words[i].place
		if !joined {
			if i++; i >= len(c.words) {
				break
			}
			text, place = c.words[i].text, c.words[i].place
		}
		switch flag {
		case "--values":
			all = append(all, setting{rank, "", text, place})
		case "--set-json", "--set-literal":
			key, value, _ := strings.Cut(text, "=")
			all = append(all, setting{rank, key, value, place})
		default:
			for _, part := range strings.Split(text, ",") {
				if key, value, ok := strings.Cut(part, "="); ok {
					all = append(all, setting{rank, key, value, place})
				}
			}
		}
	}
	return all
}

// lastWins matches the usual wrong comment beside such a command.
var lastWins = lazyregexp.New(`(?i)\blast\b[^.]*\b(overrides?|wins?|precedence)\b`)

// checkHelm checks what a job's helm commands set.
func checkHelm(r *report, p Project, j job) {
	for _, cmd := range j.commands {
		if cmd.text(0) != "helm" || cmd.text(1) != "upgrade" && cmd.text(1) != "install" &&
			cmd.text(1) != "template" {
			continue
		}
		all := settings(cmd)
		for i, s := range all {
			for _, earlier := range all[:i] {
				if s.key != "" && s.key == earlier.key && s.rank < earlier.rank {
					r.add(helmPrecedence.In(s.place, "%s %s=%s has no effect: %s overrides it regardless of their order",
						ranks[s.rank], s.key, s.value, ranks[earlier.rank]), "Set the key once.")
				}
			}
		}
		mixed := slices.ContainsFunc(all, func(s setting) bool { return s.rank != all[0].rank })
		for _, comment := range cmd.comments {
			if mixed && lastWins().MatchString(comment.text) {
				r.add(helmPrecedence.In(comment.place, "the comment is wrong: Helm ranks values by the kind of flag "+
					"(-f < --set-json < --set < --set-string …); "+
					"the order counts only between flags of one kind"),
					"Write that --set overrides -f regardless of their order.")
			}
		}
		checkTagDefault(r, p, cmd, all)
	}
}

// checkTagDefault finds an image whose repository comes from the command's values, and whose tag is the
// chart's default.
func checkTagDefault(r *report, p Project, cmd command, all []setting) {
	chart := ""
	for _, w := range cmd.words[2:] {
		if _, ok := p.read(path.Join(cmd.folder, w.text, "Chart.yaml")); ok {
			chart = path.Join(cmd.folder, w.text, "values.yaml")
		}
	}
	defaults := imagesIn(p, chart)
	given := map[string]map[string]string{}
	for _, s := range all {
		if s.key == "" {
			for key, image := range imagesIn(p, path.Join(cmd.folder, s.value)) {
				if given[key] == nil {
					given[key] = map[string]string{}
				}
				for field, value := range image {
					given[key][field] = value
				}
			}
		} else if key, field, ok := cutLast(s.key); ok && given[key] != nil {
			given[key][field] = s.value
		}
	}
	for key, image := range given {
		tag := defaults[key]["tag"]
		if _, set := image["tag"]; set || image["repository"] == "" || image["digest"] != "" ||
			!reference.MayMoveTag(tag) {
			continue
		}
		r.add(helmTagDefault.In(cmd.words[0].place,
			"this deploys %s:%s: the command sets %s.repository without a tag, and the default in %s is %s, "+
				"which moves",
			image["repository"], tag, key, chart, tag), "Add `--set "+key+".tag=sha-${GITHUB_SHA::7}`.")
	}
}

func cutLast(key string) (before, last string, ok bool) {
	i := strings.LastIndex(key, ".")
	if i < 0 {
		return "", key, false
	}
	return key[:i], key[i+1:], true
}

// imagesIn returns the mappings of a values file that describe images, by key.
func imagesIn(p Project, file string) map[string]map[string]string {
	root := p.document(file)
	if root == nil || object.CheckNode(root, file) != nil {
		return nil
	}
	found := map[string]map[string]string{}
	var walk func(n *yaml.Node, key string)
	walk = func(n *yaml.Node, key string) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			name, v := n.Content[i].Value, n.Content[i+1]
			if v.Kind == yaml.ScalarNode && (name == "repository" || name == "tag" || name == "digest") {
				if found[key] == nil {
					found[key] = map[string]string{}
				}
				found[key][name] = v.Value
			}
			walk(v, strings.TrimPrefix(key+"."+name, "."))
		}
	}
	walk(root, "")
	return found
}
