package tilt

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// deploying are the functions that deploy, build or forward something.
func deploying() map[string]func(*reader, arguments) any {
	all := map[string]func(*reader, arguments) any{
		"k8s_yaml": applyManifests, "kustomize": kustomized, "helm": templated,
		"helm_resource": installed, "namespace_inject": injected,
		"docker_build": dockerBuild(places{args: 2, dockerfile: 3, command: none, live: none}),
		"podman_build": dockerBuild(places{none, none, none, none}),
		// The command and live_update are required.
		"docker_build_with_restart": dockerBuild(places{none, none, 2, 3}),
		"custom_build":              otherBuild(places{command: none, live: none}),
		"custom_build_with_restart": otherBuild(places{command: 3, live: 4}),
		"k8s_resource":              forwarded, "port_forward": portForward, "allow_k8s_contexts": allowContexts,
		"sync": aStep, "run": aStep, "fall_back_on": aStep, "initial_sync": aStep, "restart_container": aStep,
	}
	for _, name := range strings.Fields("ko_build pack bazel_build nix_build earthly_build depot_build " +
		"docker_build_sub dagger_build image_build") {
		all[name] = otherBuild(places{command: none, live: none})
	}
	for _, name := range strings.Fields("k8s_custom_deploy helm_remote deploy_cert_manager k8s_yaml_glob") {
		all[name] = func(r *reader, a arguments) any {
			r.undecided(Call{placeOf(a.at), r.source(a.at), "its manifests are not in the repository"})
			return nil
		}
	}
	return all
}

// places are those of arguments that may be given without their names.
type places struct{ args, dockerfile, command, live int }

const none = -1

func aStep(*reader, arguments) any { return step{} }

// applyManifests takes the manifests of k8s_yaml: paths, and what kustomize, helm and the like return.
func applyManifests(r *reader, a arguments) any {
	found, why, decided := r.manifests(a.value(0, "yaml"), placeOf(a.at))
	if why == "" && len(found) > 0 && r.doubt == 0 {
		why = "taken without its undecided parts"
	}
	if !decided || r.doubt > 0 {
		r.undecided(Call{Place: placeOf(a.at), Text: r.source(a.at), Why: why})
	}
	if r.doubt == 0 {
		r.apply(found)
	}
	return nil
}

func (r *reader) apply(found []Manifest) {
	for _, m := range found {
		known := func(o Manifest) bool { return o.Chart == nil && o.Path == m.Path }
		if m.Chart != nil || !slices.ContainsFunc(r.out.Manifests, known) {
			r.out.Manifests = append(r.out.Manifests, m)
		}
	}
}

func (r *reader) manifests(v any, at Place) (found []Manifest, why string, decided bool) {
	switch v := v.(type) {
	case nil:
		return nil, "", true
	case string:
		file, ok := r.resolve(v)
		if strings.Contains(v, "\n") {
			return nil, "made in the Tiltfile", false
		} else if !ok {
			return nil, "outside the repository", false
		}
		info, err := r.stat(file)
		if err != nil || info.IsDir() {
			return nil, file + " is not a file of the repository", false
		}
		return []Manifest{{Place: at, Path: file}}, "", true
	case fileText:
		return []Manifest{{Place: at, Path: v.file}}, "", true
	case blob:
		for _, m := range v.manifests {
			m.Place = at
			found = append(found, m)
		}
		return found, "", !v.partial
	case made:
		return nil, "made in the Tiltfile", false
	case *list:
		r.depth++
		defer func() { r.depth-- }()
		decided = !v.open
		for _, e := range v.items {
			if r.steps++; r.depth > maxDepth || r.steps > maxSteps { // a list may contain itself
				return found, why, false
			}
			more, reason, ok := r.manifests(e, at)
			found, decided = append(found, more...), decided && ok
			if why == "" {
				why = reason
			}
		}
		return found, why, decided
	}
	return nil, "", false
}

func kustomized(r *reader, a arguments) any {
	p, ok := a.text(0, "pathToDir")
	if p == "" {
		p, ok = a.text(0, "paths")
	}
	dir, within := r.resolve(p)
	if !ok || !within || p == "" || !r.isDirectory(dir) {
		return unknown{}
	}
	return blob{manifests: []Manifest{{Path: dir}}}
}

func (r *reader) isDirectory(p string) bool {
	info, err := r.stat(p)
	return err == nil && info.IsDir()
}

// templated is what helm() renders: a chart whose release is called chart, unless it is given a name.
func templated(r *reader, a arguments) any {
	p, ok := a.text(0, "pathToChart")
	if p == "" {
		p, ok = a.text(0, "paths")
	}
	dir, within := r.resolve(p)
	if !ok || !within || p == "" || !r.isDirectory(dir) {
		return unknown{}
	}
	c := &Chart{Path: dir, Release: "chart"}
	name, named := a.text(1, "name")
	namespace, known := a.text(2, "namespace")
	if name != "" {
		c.Release = name
	}
	c.Namespace = namespace
	set, decided := texts(a.value(4, "set"))
	c.Set = set
	decided = r.values(c, a.value(3, "values")) && decided && named && known && !a.open
	return blob{[]Manifest{{Path: dir, Chart: c}}, !decided}
}

// values adds values files to a chart; false where one is not in the repository.
func (r *reader) values(c *Chart, v any) bool {
	names, decided := texts(v)
	for _, name := range names {
		file, within := r.resolve(name)
		if info, err := r.stat(file); !within || err != nil || info.IsDir() {
			decided = false
			continue
		}
		c.Values = append(c.Values, file)
	}
	return decided
}

// installed takes a chart of the project that helm_resource installs with `helm upgrade --install`.
func installed(r *reader, a arguments) any {
	name, _ := a.text(0, "name")
	p, _ := a.text(1, "chart")
	c := &Chart{Release: name}
	if release, _ := a.text(none, "release_name"); release != "" {
		c.Release = release
	}
	c.Namespace, _ = a.text(none, "namespace")
	r.forwards(name, a.value(none, "port_forwards"), placeOf(a.at))
	dir, within := r.resolve(p)
	switch {
	case !within || p == "" || !r.isDirectory(dir):
		r.undecided(Call{Place: placeOf(a.at), Text: r.source(a.at), Why: "the chart is not in the repository"})
		return nil
	case name == "" || r.doubt > 0:
		r.undecided(Call{Place: placeOf(a.at), Text: r.source(a.at)})
		return nil
	case !r.flags(c, a.value(none, "flags")):
		r.undecided(Call{placeOf(a.at), r.source(a.at), "taken without its undecided parts"})
	}
	c.Path = dir
	r.apply([]Manifest{{Place: placeOf(a.at), Path: dir, Chart: c}})
	return nil
}

// flags reads those of `helm upgrade` that change what a chart renders.
func (r *reader) flags(c *Chart, v any) bool {
	args, decided := texts(v)
	known := []string{"-f", "--values", "--set", "--set-string"}
	for i := 0; i < len(args); i++ {
		flag, value, joined := strings.Cut(args[i], "=")
		if !joined && i+1 < len(args) && slices.Contains(known, flag) {
			i++
			value = args[i]
		}
		switch flag {
		case "-f", "--values":
			decided = r.values(c, value) && decided
		case "--set":
			c.Set = append(c.Set, value)
		case "--set-string":
			c.SetString = append(c.SetString, value)
		}
	}
	return decided
}

// injected is what namespace_inject makes of manifests.
func injected(r *reader, a arguments) any {
	found, _, decided := r.manifests(a.value(0, "x"), placeOf(a.at))
	namespace, ok := a.text(1, "ns")
	if len(found) == 0 || !ok {
		return unknown{}
	}
	for i := range found {
		found[i].Namespace = namespace
		if c := found[i].Chart; c != nil {
			with := *c
			with.Namespace = namespace
			found[i].Chart = &with
		}
	}
	return blob{found, !decided}
}

// dockerBuild takes an image with a Dockerfile.
func dockerBuild(at places) func(*reader, arguments) any {
	return func(r *reader, a arguments) any {
		i, ok := r.image(a, at)
		if !ok {
			return nil
		}
		context, known := a.text(1, "context")
		dir, within := r.resolve(context)
		name, decided := a.text(at.dockerfile, "dockerfile")
		contents, given := a.get(none, "dockerfile_contents")
		if file, is := contents.(fileText); is {
			name, given = here+"/"+file.file, false
		}
		if known && within && context != "" && decided && !given {
			i.Context, i.Dockerfile = dir, path.Join(dir, "Dockerfile")
			if file, within := r.resolve(name); within && name != "" {
				i.Dockerfile = file
			}
		}
		i.Target, _ = a.text(none, "target")
		args, _ := a.value(at.args, "build_args").(*dict)
		for k, v := range entriesOf(args) {
			if text, ok := toText(v); ok {
				if i.Args == nil {
					i.Args = map[string]string{}
				}
				i.Args[k] = text
			}
		}
		r.out.Images = append(r.out.Images, i)
		return nil
	}
}

func entriesOf(d *dict) map[string]any {
	all := map[string]any{}
	if d == nil {
		return all
	}
	for _, k := range d.keys {
		if name, ok := k.(string); ok {
			all[name] = d.entries[k]
		}
	}
	return all
}

// otherBuild takes an image that another program builds.
func otherBuild(at places) func(*reader, arguments) any {
	return func(r *reader, a arguments) any {
		i, ok := r.image(a, at)
		if !ok {
			return nil
		}
		if command, ok := texts(a.value(1, "command")); ok {
			r.builds(&i, strings.Fields(strings.Join(command, " ")))
		}
		r.out.Images = append(r.out.Images, i)
		return nil
	}
}

// Flags of `docker build` that take no value.
var withoutValue = strings.Fields(
	"--push --load --pull --no-cache --rm --force-rm -q --quiet --squash --compress")

// builds reads the context and the Dockerfile of a command that runs `docker build` and nothing before it.
func (r *reader) builds(i *Image, words []string) {
	if len(words) > 2 && words[0] == "docker" && words[1] == "buildx" {
		words = slices.Delete(slices.Clone(words), 1, 2)
	}
	if len(words) < 3 || words[0] != "docker" && words[0] != "podman" || words[1] != "build" {
		return
	}
	file, context := "", ""
	for n := 2; n < len(words) && !slices.Contains([]string{"&&", ";", "||", "|"}, words[n]); n++ {
		flag, value, joined := strings.Cut(words[n], "=")
		switch {
		case !strings.HasPrefix(flag, "-"):
			context = words[n]
		case !joined && !slices.Contains(withoutValue, flag):
			n++
			value = strings.Join(words[min(n, len(words)):min(n+1, len(words))], "")
		}
		if flag == "-f" || flag == "--file" {
			file = value
		}
	}
	dir, ok := r.resolve(strings.Trim(context, `'"`))
	if !ok || context == "" || strings.Contains(context+file, "$") {
		return
	}
	i.Context, i.Dockerfile = dir, path.Join(dir, "Dockerfile")
	if at, ok := r.resolve(strings.Trim(file, `'"`)); ok && file != "" {
		i.Dockerfile = at
	}
}

// image is what all of these functions say; false where it is known already, or its name is not.
func (r *reader) image(a arguments, at places) (Image, bool) {
	ref, ok := a.text(0, "ref")
	if !ok || ref == "" {
		r.undecided(Call{Place: placeOf(a.at), Text: r.source(a.at)})
		return Image{}, false
	}
	name, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	command, _ := texts(a.value(at.command, "entrypoint"))
	live, _ := truth(a.value(at.live, "live_update"))
	known := func(i Image) bool { return i.Name == name }
	return Image{Place: placeOf(a.at), Name: name, Command: strings.Join(command, " "), LiveUpdate: live},
		!slices.ContainsFunc(r.out.Images, known) && len(r.out.Images) < maxList
}

// forwarded takes the ports of k8s_resource.
func forwarded(r *reader, a arguments) any {
	name, _ := a.text(0, "workload")
	r.forwards(name, a.value(2, "port_forwards"), placeOf(a.at))
	return nil
}

func portForward(_ *reader, a arguments) any {
	port, ok := a.value(1, "container_port").(int64)
	if !ok {
		port, ok = a.value(0, "local_port").(int64)
	}
	name, _ := a.text(2, "name")
	if !ok {
		return unknown{}
	}
	return forward{int(port), name}
}

var portText = regexp.MustCompile(`(?:^|:)(\d{1,5})$`)

func (r *reader) forwards(workload string, v any, at Place) {
	f := Forward{Place: at, Workload: workload}
	switch v := v.(type) {
	case int64:
		f.Port = int(v)
	case string: // 8080, 8080:80, localhost:8080:80
		if m := portText.FindStringSubmatch(v); m != nil {
			f.Port, _ = strconv.Atoi(m[1])
		}
	case forward:
		f.Port, f.Name = v.port, v.name
	case *list:
		for _, e := range v.items {
			if _, nested := e.(*list); !nested {
				r.forwards(workload, e, at)
			}
		}
	}
	if f.Port > 0 && f.Port < 1<<16 && len(r.out.Forwards) < maxList {
		r.out.Forwards = append(r.out.Forwards, f)
	}
}

func allowContexts(r *reader, a arguments) any {
	names, _ := texts(a.value(0, "contexts"))
	if r.doubt == 0 {
		r.out.Contexts = append(r.out.Contexts, names...)
	}
	return nil
}
