package helm

import (
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"helm.sh/helm/v4/pkg/chart/common"
)

// files are a chart's files except templates: .Files in its templates.
type files map[string][]byte

func newFiles(list []*common.File) files {
	f := files{}
	for _, file := range list {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes returns a file's content, empty if it does not exist.
func (f files) GetBytes(name string) []byte {
	if text, ok := f[name]; ok {
		return text
	}
	return []byte{}
}

// Get is GetBytes as a string.
func (f files) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files whose names match; an invalid pattern matches all.
func (f files) Glob(pattern string) files {
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g = glob.MustCompile("**")
	}
	out := files{}
	for name, text := range f {
		if g.Match(name) {
			out[name] = text
		}
	}
	return out
}

// Lines returns a file's lines.
func (f files) Lines(name string) []string {
	if len(f[name]) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}

// AsConfig returns the files as data of a ConfigMap.
func (f files) AsConfig() string {
	return f.flat(func(text []byte) string { return string(text) })
}

// AsSecrets returns the files as data of a Secret.
func (f files) AsSecrets() string { return f.flat(base64.StdEncoding.EncodeToString) }

// flat maps base names to contents. Of several files with one base name the last wins.
func (f files) flat(encode func([]byte) string) string {
	if f == nil {
		return ""
	}
	m := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		m[path.Base(name)] = encode(f[name])
	}
	return orEmpty(toYAML(m))
}
