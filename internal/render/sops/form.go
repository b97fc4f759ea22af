package sops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// form is a file's format. Within this package all formats are YAML nodes.
type form int

const (
	asYAML form = iota
	asJSON
	asBinary // JSON around one string
	asDotenv
	asINI
)

// formOf decides by the file's name, as SOPS does, and else by its text.
func formOf(name string, text []byte) form {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml":
		return asYAML
	case ".json":
		return asJSON
	case ".env":
		return asDotenv
	case ".ini":
		return asINI
	}
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return asBinary
	case bytes.Contains(text, []byte("\nsops_mac=")):
		return asDotenv
	case bytes.Contains(text, []byte("\n[sops]")):
		return asINI
	}
	return asYAML
}

// load splits a file into its documents and the metadata of SOPS, nil where it has none.
func load(f form, text []byte) ([]*yaml.Node, *metadata, error) {
	var docs []*yaml.Node
	var about *yaml.Node
	if f == asDotenv || f == asINI {
		doc, flat := lines(f, text)
		docs, about = []*yaml.Node{doc}, nested(flat)
	} else {
		stream := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var doc yaml.Node
			if err := stream.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, nil, err
			}
			if cut := cutKey(doc.Content[0], "sops"); about == nil {
				about = cut
			}
			docs = append(docs, &doc)
		}
	}
	if about == nil {
		return nil, nil, nil
	}
	var m metadata
	if err := about.Decode(&m); err != nil {
		return nil, nil, err
	}
	return docs, &m, nil
}

func cutKey(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			v := n.Content[i+1]
			n.Content = slices.Delete(n.Content, i, i+2)
			return v
		}
	}
	return nil
}

// lines reads dotenv and INI, without their comments.
func lines(f form, text []byte) (doc *yaml.Node, about map[string]string) {
	doc, about = &yaml.Node{Kind: yaml.MappingNode}, map[string]string{}
	into, section := doc, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if f == asINI {
			line = strings.TrimSpace(line)
		}
		if name, ok := strings.CutPrefix(line, "["); f == asINI && ok {
			section = strings.TrimSuffix(name, "]")
			if into = (&yaml.Node{Kind: yaml.MappingNode}); section != "sops" {
				doc.Content = append(doc.Content, scalar(section), into)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || f == asINI && strings.HasPrefix(line, ";") {
			continue
		}
		if f == asINI {
			key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), "`\"")
		}
		ours := section == "sops"
		if f == asDotenv {
			key, ours = strings.CutPrefix(key, "sops_")
		}
		if f == asDotenv || ours {
			value = strings.ReplaceAll(value, `\n`, "\n")
		}
		if ours {
			about[key] = value
		} else {
			into.Content = append(into.Content, scalar(key), scalar(value))
		}
	}
	return doc, about
}

func scalar(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// nested is the tree of flattened keys such as age__list_0__map_enc.
func nested(flat map[string]string) *yaml.Node {
	if len(flat) == 0 {
		return nil
	}
	top := &yaml.Node{Kind: yaml.MappingNode}
	keys := make([]string, 0, len(flat))
	for k := range flat {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		at := top
		for _, part := range strings.Split(strings.NewReplacer("__list_", "\x00[", "__map_",
			"\x00").Replace(k), "\x00") {
			at = child(at, part)
		}
		// Without a tag, so that its form decides the type.
		*at = yaml.Node{Kind: yaml.ScalarNode, Value: flat[k]}
	}
	return top
}

func child(n *yaml.Node, part string) *yaml.Node {
	if index, ok := strings.CutPrefix(part, "["); ok {
		n.Kind = yaml.SequenceNode
		i, _ := strconv.Atoi(index)
		for len(n.Content) <= min(i, 1000) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.MappingNode})
		}
		return n.Content[min(i, 1000)]
	}
	n.Kind = yaml.MappingNode
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == part {
			return n.Content[i+1]
		}
	}
	c := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, scalar(part), c)
	return c
}

// emit writes the documents as SOPS would.
func emit(f form, docs []*yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	if f == asYAML {
		e := yaml.NewEncoder(&b)
		for _, d := range docs {
			if err := e.Encode(d); err != nil {
				return nil, err
			}
		}
		return b.Bytes(), e.Close()
	}
	top := docs[0]
	if top.Kind == yaml.DocumentNode {
		top = top.Content[0]
	}
	switch f {
	case asJSON, asBinary:
		if data := top.Content; f == asBinary && len(data) == 2 && data[0].Value == "data" {
			return []byte(data[1].Value), nil
		}
		flat, err := jsonOf(top)
		if err != nil {
			return nil, err
		}
		err = json.Indent(&b, flat, "", "\t")
		b.WriteByte('\n')
		return b.Bytes(), err
	case asDotenv:
		for i := 0; i+1 < len(top.Content); i += 2 {
			fmt.Fprintf(&b, "%s=%s\n", top.Content[i].Value, strings.ReplaceAll(top.Content[i+1].Value, "\n", `\n`))
		}
	case asINI:
		for i := 0; i+1 < len(top.Content); i += 2 {
			fmt.Fprintf(&b, "[%s]\n", top.Content[i].Value)
			for keys := top.Content[i+1].Content; len(keys) > 1; keys = keys[2:] {
				fmt.Fprintf(&b, "%s = %s\n", keys[0].Value, quote(keys[1].Value))
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

func quote(value string) string {
	switch {
	case strings.ContainsAny(value, "\n`"):
		return `"""` + value + `"""`
	case strings.ContainsAny(value, "#;"):
		return "`" + value + "`"
	case strings.TrimSpace(value) != value:
		return `"` + value + `"`
	}
	return value
}

// jsonOf keeps the order of keys, which maps do not.
func jsonOf(n *yaml.Node) ([]byte, error) {
	if n.Kind == yaml.ScalarNode {
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}
	open, end, after := "[", "]", ","
	if n.Kind == yaml.MappingNode {
		open, end, after = "{", "}", ":"
	}
	out := []byte(open)
	for i, item := range n.Content {
		part, err := jsonOf(item)
		if err != nil {
			return nil, err
		}
		switch {
		case i%2 == 1:
			out = append(out, after...)
		case i > 0:
			out = append(out, ',')
		}
		out = append(out, part...)
	}
	return append(out, end...), nil
}
