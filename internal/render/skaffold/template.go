package skaffold

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// The functions that templated fields may call, and eq, ne, and, or, not. Skaffold has all of Sprig's
// too, and cmd, which runs a program. None of these makes a short text long.
var templateFuncs = template.FuncMap{
	"default": func(otherwise string, given any) any {
		if given == nil || given == "" {
			return otherwise
		}
		return given
	},
	"lower": strings.ToLower, "upper": strings.ToUpper, "trim": strings.TrimSpace,
	"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
}

// expandTemplate executes a templated field. A variable that is not set is an error, never "<no value>".
func expandTemplate(s string, lookup func(name string) (string, bool)) (string, error) {
	if !strings.Contains(s, "{{") {
		return s, nil
	}
	t, err := template.New(s).Funcs(templateFuncs).Parse(s)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	var names []string
	if err := straight(t.Root, &names); err != nil {
		return "", err
	}
	data, missing := map[string]any{}, []string(nil)
	for _, name := range names {
		if v, ok := lookup(name); ok {
			data[name] = v
		} else {
			missing = append(missing, name)
		}
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return "", err
	}
	if strings.Contains(out.String(), "<no value>") {
		why := "is not set"
		if slices.ContainsFunc(missing, func(name string) bool { return imageVariable.MatchString(name) }) {
			why += "; an image's variables are known once it is built"
		}
		return "", fmt.Errorf("%s: %s %s", s, strings.Join(missing, ", "), why)
	}
	return out.String(), nil
}

// straight collects the variables that a template names. It refuses what could make a short text run
// long: loops, definitions, variables.
func straight(n parse.Node, names *[]string) error {
	var below []parse.Node
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			below = n.Nodes
		}
	case *parse.ActionNode:
		below = []parse.Node{n.Pipe}
	case *parse.IfNode:
		below = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return fmt.Errorf("%s: variables are not supported", n)
		}
		for _, c := range n.Cmds {
			below = append(below, c.Args...)
		}
	case *parse.FieldNode:
		*names = append(*names, n.Ident[0])
	case *parse.IdentifierNode:
		if templateFuncs[n.Ident] == nil && !slices.Contains([]string{"eq", "ne", "and", "or", "not"}, n.Ident) {
			return fmt.Errorf("function %s is not supported", n)
		}
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
	default:
		return fmt.Errorf("%s is not supported", n)
	}
	for _, b := range below {
		if err := straight(b, names); err != nil {
			return err
		}
	}
	return nil
}

var (
	imageVariable = regexp.MustCompile(`^(IMAGE_|DIGEST)`)
	unfit         = regexp.MustCompile(`[^A-Za-z0-9]`)
)

// imageVariables are what Skaffold tells templates about the images of the artifacts, in order: for
// the first as IMAGE_TAG, for the second as IMAGE_TAG2, and for each as IMAGE_TAG_its_name.
func imageVariables(artifacts []any, images map[string]string) map[string]string {
	out := map[string]string{}
	for i, a := range artifacts {
		name, n := text(a, "image"), ""
		ref, ok := images[name]
		if !ok {
			continue
		}
		if i > 0 {
			n = strconv.Itoa(i + 1)
		}
		tagged, digest, _ := strings.Cut(ref, "@")
		repo, tag := tagged, ""
		if at := strings.LastIndex(tagged, ":"); at > strings.LastIndex(tagged, "/") {
			repo, tag = tagged[:at], tagged[at+1:]
		}
		domain, rest, ok := strings.Cut(repo, "/")
		if !ok || !strings.ContainsAny(domain, ".:") && domain != "localhost" {
			domain, rest = "", repo
		}
		for k, v := range map[string]string{
			"IMAGE_NAME": name, "IMAGE_REPO": repo, "IMAGE_TAG": tag, "IMAGE_DIGEST": digest, "DIGEST": ref,
			"IMAGE_DOMAIN": domain, "IMAGE_REPO_NO_DOMAIN": rest, "IMAGE_FULLY_QUALIFIED": ref,
		} {
			out[k+n] = v
			out[k+"_"+unfit.ReplaceAllString(name, "_")] = v
		}
	}
	return out
}
