package project

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// skaffoldConfig is what detection reads of a document in a skaffold.yaml.
type skaffoldConfig struct {
	Requires []struct {
		Path string
		Git  any
	}
	Build struct {
		Artifacts []struct {
			Image, Context, Workspace string
			Docker                    struct {
				Dockerfile, DockerfilePath, Target string
				BuildArgs                          map[string]string `yaml:"buildArgs"`
			}
		}
	}
	Manifests, Deploy map[string]any
	Profiles          []struct{ Name string }
}

// renders says whether a configuration names something to render without a profile.
func (c skaffoldConfig) renders() bool {
	for name, v := range c.Deploy {
		kubectl, _ := v.(map[string]any)
		if name != "kubectl" && name != "kubeContext" && name != "statusCheck" || kubectl["manifests"] != nil {
			return true
		}
	}
	return len(c.Manifests) > 0
}

// skaffoldFile is the project's skaffold.yaml; empty where there is none.
func (l layout) skaffoldFile() string {
	for _, file := range []string{"skaffold.yaml", "skaffold.yml"} {
		if l.file(file) {
			return file
		}
	}
	return ""
}

// skaffoldConfigs reads a skaffold.yaml and the ones that it requires. What is
// wrong in one, rendering says.
func (l layout) skaffoldConfigs(file string, visit func(file string, c skaffoldConfig)) {
	seen := map[string]bool{}
	var read func(file string)
	read = func(file string) {
		if seen[file] || len(seen) > 200 {
			return
		}
		seen[file] = true
		stream := yaml.NewDecoder(bytes.NewReader(l.text(file)))
		for {
			var c skaffoldConfig
			if err := stream.Decode(&c); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
				return
			}
			visit(file, c)
			for _, r := range c.Requires {
				other := path.Join(path.Dir(file), r.Path)
				if l.isFolder(other) {
					other = path.Join(other, "skaffold.yaml")
				}
				if r.Path != "" && r.Git == nil && l.file(other) {
					read(other)
				}
			}
		}
	}
	read(file)
}

// skaffold finds a skaffold.yaml and the names of its profiles, those of required files included: Skaffold
// passes a profile on. Profiles that are not called like environments are variants of a build, and make
// none. It also returns the files that are required.
func (l layout) skaffold() (envs []Environment, left, required []string) {
	file := l.skaffoldFile()
	if file == "" {
		return nil, nil, nil
	}
	envs = []Environment{{Name: "default", Class: Local, Skaffold: &Skaffold{File: file}}}
	own := false
	l.skaffoldConfigs(file, func(name string, c skaffoldConfig) {
		dir := path.Dir(name)
		if name != file && !slices.Contains(required, name) {
			required = append(required, name)
		}
		own = own || c.renders() || l.manifests(path.Join(dir, "k8s")) // Skaffold's own default
		for _, p := range c.Profiles {
			switch name := strings.ToLower(p.Name); {
			case name == "default" || !label.matches(name):
			case isEnvironmentName(name) && !isFeature(name):
				s := Skaffold{File: file, Profiles: []string{p.Name}}
				envs = append(envs, Environment{Name: name, Skaffold: &s})
			default:
				left = append(left, "profile "+p.Name)
			}
		}
	})
	if len(envs) > 1 && !own {
		envs = envs[1:]
	}
	slices.Sort(left)
	return unique(envs), slices.Compact(left), required
}

// addArtifacts adds the images that the skaffold.yaml of an environment builds. Manifests name them without
// a tag, also where slipway.yaml lists them.
func (p *Project) addArtifacts() {
	var l layout
	for _, e := range p.Environments {
		if e.Skaffold == nil {
			continue
		}
		if l.fs == nil {
			l = walk(os.DirFS(p.Dir))
		}
		for _, a := range l.artifacts(e.Skaffold.File) {
			i := slices.IndexFunc(p.Images, func(i Image) bool { return i.Name == a.Name })
			if i < 0 {
				p.Images = append(p.Images, a)
			} else {
				p.Images[i].Artifact = true
			}
		}
	}
}

// artifacts are the images that a skaffold.yaml, and those that it requires, build.
func (l layout) artifacts(file string) []Image {
	if file == "" {
		return nil
	}
	var images []Image
	l.skaffoldConfigs(file, func(file string, c skaffoldConfig) {
		dir := path.Dir(file)
		for _, a := range c.Build.Artifacts {
			known := func(i Image) bool { return i.Name == a.Image }
			if !imageName.matches(a.Image) || slices.ContainsFunc(images, known) {
				continue
			}
			i := Image{Name: a.Image, Context: path.Join(dir, a.Context+a.Workspace), Target: a.Docker.Target,
				BuildArgs: a.Docker.BuildArgs, Detected: true, Artifact: true}
			name := a.Docker.Dockerfile + a.Docker.DockerfilePath
			if name == "" {
				name = "Dockerfile"
			}
			i.Dockerfile = path.Join(i.Context, name)
			images = append(images, i)
		}
	})
	return images
}

// skaffoldNames says whether an environment's skaffold.yaml, or one that this requires, names a directory.
func (l layout) skaffoldNames(e Environment, dir string) bool {
	if e.Skaffold == nil {
		return false
	}
	named := false
	l.skaffoldConfigs(e.Skaffold.File, func(file string, _ skaffoldConfig) {
		at := path.Dir(file)
		within, below := strings.CutPrefix(path.Clean("/"+dir), path.Clean("/"+at))
		named = named || below && bytes.Contains(l.text(file), []byte(strings.Trim(within, "/")))
	})
	return named
}
