package object

import (
	"bytes"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// WriteYAML writes the set as kubectl would: one document an object, keys sorted. Read gives back
// the same bodies.
func WriteYAML(w io.Writer, s Set) error {
	for i, o := range s.objects {
		var text bytes.Buffer
		if i > 0 {
			text.WriteString("---\n")
		}
		enc := yaml.NewEncoder(&text)
		enc.SetIndent(2)
		enc.CompactSeqIndent()
		var n yaml.Node
		if err := n.Encode(o.Body); err != nil {
			return fmt.Errorf("write %s: %w", o.Ref(), err)
		}
		quoteMerges(&n)
		if err := enc.Encode(&n); err != nil {
			return fmt.Errorf("write %s: %w", o.Ref(), err)
		}
		if _, err := w.Write(text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// quoteMerges keeps the string "<<" a string: the encoder writes it bare.
func quoteMerges(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Value == "<<" {
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		quoteMerges(c)
	}
}
