package check

import (
	"slipway/internal/render/tree"

	"go.yaml.in/yaml/v3"
)

// files reads the project's files. The zero value has none.
type files struct{ view *tree.View }

func (s files) text(name string) []byte {
	if s.view == nil {
		return nil
	}
	text, _ := s.view.File(name)
	return text
}

// documents returns the YAML documents of a file, those before a syntax error where there is one.
func (s files) documents(name string) []*yaml.Node {
	if s.view == nil {
		return nil
	}
	docs, _ := s.view.Documents(name)
	return docs
}

// document returns the root of a file's first document; nil where the file is not YAML.
func (s files) document(name string) *yaml.Node {
	if s.view == nil {
		return nil
	}
	docs, err := s.view.Documents(name)
	if len(docs) == 0 || err != nil || len(docs[0].Content) == 0 {
		return nil
	}
	return docs[0].Content[0]
}

func (s files) isFile(name string) bool   { return s.view != nil && s.view.IsFile(name) }
func (s files) isFolder(name string) bool { return s.view != nil && s.view.IsDirectory(name) }

func (s files) isEncrypted(name string) bool {
	if s.view == nil {
		return false
	}
	own := s.view.Tree.View(s.view.Context())
	_, err := own.File(name)
	return err != nil || len(own.Secrets()) > 0
}
