package tilt

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// here stands for the absolute path of the project's directory, which this machine alone knows.
const here = "\x00"

// resolve returns the path in the project that a path in the current file means; false where it leads out.
func (r *reader) resolve(p string) (string, bool) {
	if within, ok := strings.CutPrefix(p, here); ok {
		p = strings.TrimPrefix(path.Clean("/"+within), "/")
	} else if path.IsAbs(p) || strings.ContainsAny(p, "\n\x00") || strings.HasPrefix(p, "~") {
		return "", false
	} else {
		p = path.Join(r.dir, p)
	}
	if p = path.Clean(p); !fs.ValidPath(p) {
		return "", false
	}
	return p, true
}

func (r *reader) stat(file string) (fs.FileInfo, error) { return fs.Stat(r.fs, file) }

// builtins are the functions of Starlark and of Tilt, by their names.
func builtins() map[string]func(*reader, arguments) any {
	all := map[string]func(*reader, arguments) any{
		"len": length, "str": asText, "int": asNumber, "bool": asBool, "range": numbers,
		"list": asList, "tuple": asList, "sorted": sorted, "reversed": reversed, "enumerate": enumerate,
		"zip": zip, "dict": asDict, "struct": asRecord, "any": anyOf, "all": allOf,
		"print": nothing, "warn": nothing, "fail": nothing,

		"os.getcwd": func(r *reader, _ arguments) any { return here + "/" + r.dir },
		"os.getenv": func(r *reader, a arguments) any { return r.method(options{}, "get", a) },
		"os.putenv": nothing, "os.unsetenv": nothing, "os.path.join": joinPath, "os.path.exists": exists,
		"os.path.basename": ofPath(path.Base), "os.path.dirname": ofPath(directoryOf),
		"os.path.abspath": absolute, "os.path.realpath": absolute,
		"config.parse": func(*reader, arguments) any { return options{} },

		"read_file": readFile, "read_yaml": readData, "read_json": readData, "decode_yaml": decode,
		"decode_json": decode, "listdir": listFiles,
		"read_yaml_stream": readStream, "blob": asBlob, "encode_yaml": asBlob, "encode_yaml_stream": asBlob,
		"include": includeFile, "load_dynamic": loadDynamic,
	}
	for _, name := range strings.Fields("config.define_string config.define_bool config.define_string_list " +
		"config.define_object config.set_enabled_resources config.clear_enabled_resources") {
		all[name] = nothing
	}
	maps.Copy(all, deploying())
	return all
}

func nothing(*reader, arguments) any { return nil }

func length(_ *reader, a arguments) any {
	switch v := a.value(0, "").(type) {
	case string:
		return int64(len(v))
	case *list:
		if !v.open {
			return int64(len(v.items))
		}
	case *dict:
		if !v.open {
			return int64(len(v.keys))
		}
	}
	return unknown{}
}

func asText(_ *reader, a arguments) any {
	if text, ok := toText(a.value(0, "")); ok {
		return text
	}
	if b, ok := a.value(0, "").(blob); ok {
		return b
	}
	return unknown{}
}

func asNumber(_ *reader, a arguments) any {
	switch v := a.value(0, "").(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	return unknown{}
}

func asBool(_ *reader, a arguments) any {
	if is, known := truth(a.value(0, "")); known {
		return is
	}
	return unknown{}
}

func numbers(_ *reader, a arguments) any {
	bounds := []int64{0, 0, 1}
	for i, v := range a.given[:min(3, len(a.given))] {
		n, ok := v.(int64)
		if !ok {
			return unknown{}
		}
		bounds[i] = n
	}
	if len(a.given) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	l := &list{}
	for n := bounds[0]; n < bounds[1]; n += bounds[2] {
		if bounds[2] <= 0 || len(l.items) > maxList {
			return unknown{}
		}
		l.items = append(l.items, n)
	}
	return l
}

func asList(_ *reader, a arguments) any {
	if len(a.given) == 0 {
		return &list{}
	}
	items, known := elements(a.value(0, ""))
	return &list{items, !known}
}

func sorted(_ *reader, a arguments) any {
	items, known := elements(a.value(0, ""))
	all, also := texts(&list{items: items})
	if !known || !also || len(a.named) > 0 {
		return unknown{}
	}
	return listOf(slices.Sorted(slices.Values(all)))
}

func reversed(_ *reader, a arguments) any {
	items, known := elements(a.value(0, ""))
	slices.Reverse(items)
	return &list{items, !known}
}

func enumerate(_ *reader, a arguments) any {
	items, known := elements(a.value(0, ""))
	l := &list{open: !known}
	for i, item := range items {
		l.items = append(l.items, &list{items: []any{int64(i), item}})
	}
	return l
}

func zip(_ *reader, a arguments) any {
	if len(a.given) != 2 {
		return unknown{}
	}
	first, known := elements(a.given[0])
	second, also := elements(a.given[1])
	l := &list{open: !known || !also}
	for i := range min(len(first), len(second)) {
		l.items = append(l.items, &list{items: []any{first[i], second[i]}})
	}
	return l
}

func asDict(_ *reader, a arguments) any {
	d := newDict()
	if from, ok := a.value(0, "").(*dict); ok {
		d = merged(from, d)
	} else if len(a.given) > 0 {
		d.open = true
	}
	for _, k := range slices.Sorted(maps.Keys(a.named)) {
		d.set(k, a.named[k])
	}
	d.open = d.open || a.open
	return d
}

func asRecord(_ *reader, a arguments) any { return record(a.named) }

func anyOf(_ *reader, a arguments) any { return quantified(a, true) }

func allOf(_ *reader, a arguments) any { return quantified(a, false) }

func quantified(a arguments, decides bool) any {
	items, known := elements(a.value(0, ""))
	for _, item := range items {
		is, sure := truth(item)
		if sure && is == decides {
			return decides
		}
		known = known && sure
	}
	if known {
		return !decides
	}
	return unknown{}
}

func joinPath(_ *reader, a arguments) any {
	joined := ""
	for _, v := range a.given {
		p, ok := v.(string)
		switch {
		case !ok:
			return unknown{}
		case path.IsAbs(p) || strings.HasPrefix(p, here) || joined == "":
			joined = p
		default:
			joined = strings.TrimSuffix(joined, "/") + "/" + p
		}
	}
	return joined
}

func directoryOf(p string) string { return strings.TrimSuffix(path.Dir(p), ".") }

func ofPath(do func(string) string) func(*reader, arguments) any {
	return func(_ *reader, a arguments) any {
		if p, ok := a.value(0, "").(string); ok {
			return do(p)
		}
		return unknown{}
	}
}

func absolute(r *reader, a arguments) any {
	p, _ := a.value(0, "").(string)
	if within, ok := r.resolve(p); ok && p != "" {
		return here + "/" + within
	}
	return unknown{}
}

// exists answers for files of the project that are there: others may be on somebody's machine alone.
func exists(r *reader, a arguments) any {
	p, _ := a.value(0, "").(string)
	if file, ok := r.resolve(p); ok && p != "" {
		if _, err := r.stat(file); err == nil {
			return true
		}
	}
	return unknown{}
}

// readFile is the text of a file, or its default.
func readFile(r *reader, a arguments) any {
	p, ok := a.text(0, "file_path")
	file, within := r.resolve(p)
	if !ok || !within || p == "" {
		return unknown{}
	}
	text, err := r.text(file)
	if err != nil {
		if v, ok := a.get(1, "default"); ok {
			return v
		}
		return unknown{}
	}
	return fileText{file, string(text)}
}

// readData is what a YAML or JSON file says. One that is not in the repository is somebody's own settings:
// without it, the default holds.
func readData(r *reader, a arguments) any {
	switch v := readFile(r, a).(type) {
	case fileText:
		return parseData(v.text)
	case string:
		return unknown{}
	default:
		return v
	}
}

// readStream are the documents of a file.
func readStream(r *reader, a arguments) any {
	f, ok := readFile(r, a).(fileText)
	if !ok {
		return unknown{}
	}
	l := &list{}
	for stream := yaml.NewDecoder(strings.NewReader(f.text)); len(l.items) < maxList; {
		var v any
		if err := stream.Decode(&v); err != nil {
			l.open = !errors.Is(err, io.EOF)
			return l
		}
		l.items = append(l.items, fromData(v))
	}
	return l
}

func asBlob(*reader, arguments) any { return made{} }

func decode(_ *reader, a arguments) any {
	if text, ok := toText(a.value(0, "")); ok {
		return parseData(text)
	}
	return unknown{}
}

func parseData(text string) any {
	var v any
	if yaml.Unmarshal([]byte(text), &v) != nil {
		return unknown{}
	}
	return fromData(v)
}

// listFiles are the files in a directory, as absolute paths.
func listFiles(r *reader, a arguments) any {
	p, _ := a.value(0, "directory").(string)
	dir, ok := r.resolve(p)
	deep, known := truth(a.value(1, "recursive"))
	if !ok || p == "" || !known {
		return unknown{}
	}
	l := &list{}
	_ = fs.WalkDir(r.fs, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || len(l.items) > maxList:
			l.open = true
			return fs.SkipAll
		case d.IsDir() && name != dir && !deep:
			return fs.SkipDir
		case !d.IsDir():
			l.items = append(l.items, here+"/"+name)
		}
		return nil
	})
	return l
}

func includeFile(r *reader, a arguments) any {
	if name, ok := a.text(0, "path"); ok && !strings.Contains(name, "://") {
		r.loaded(name, placeOf(a.at))
	} else if !ok {
		r.undecided(Call{Place: placeOf(a.at), Text: r.source(a.at)})
	}
	return nil
}

func loadDynamic(r *reader, a arguments) any {
	if name, ok := a.text(0, "path"); ok && !strings.Contains(name, "://") {
		d := newDict()
		for k, v := range r.loaded(name, placeOf(a.at)) {
			d.set(k, v)
		}
		return d
	}
	return unknown{}
}
