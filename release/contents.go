package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// file is one file of an archive.
type file struct {
	name string // with slashes
	mode int64
	text []byte
}

// completions are where a package installs the scripts of shells. PowerShell has no such directory.
var completions = []struct{ shell, name, installed string }{
	{"bash", "slipway.bash", "usr/share/bash-completion/completions/slipway"},
	{"zsh", "_slipway", "usr/share/zsh/vendor-completions/_slipway"},
	{"fish", "slipway.fish", "usr/share/fish/vendor_completions.d/slipway.fish"},
	{"powershell", "slipway.ps1", ""},
}

// collect returns what the archives of all platforms have beside the programs: completions, manual pages,
// licences and examples. The host's slipway is removed afterwards.
func collect(ctx context.Context, o options, host string) ([]file, error) {
	defer os.Remove(host)
	var all []file
	for _, c := range completions {
		text, err := exec.CommandContext(ctx, host, "completion", c.shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", c.shell, err)
		}
		all = append(all, file{"completions/" + c.name, 0o644, text})
	}
	pages, err := manualPages(filepath.Join(o.root, "docs", "cli"), o.version)
	if err != nil {
		return nil, err
	}
	all = append(all, pages...)
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(filepath.Join(o.root, name))
		if err != nil {
			return nil, err
		}
		all = append(all, file{name, 0o644, text})
	}
	licences, err := licences(ctx, o.root)
	if err != nil {
		return nil, err
	}
	all = append(all, file{"THIRD-PARTY-LICENSES.txt", 0o644, licences})
	examples := filepath.Join(o.root, "examples")
	err = filepath.WalkDir(examples, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(at)
		name, _ := filepath.Rel(o.root, at)
		all = append(all, file{filepath.ToSlash(name), 0o644, text})
		return err
	})
	return all, err
}

// rpmPlaces are where distributions with RPM look for what Debian has elsewhere.
var rpmPlaces = strings.NewReplacer("usr/share/zsh/vendor-completions/", "usr/share/zsh/site-functions/")

// installed returns the files of a package at their places on a Debian system. Examples are documentation.
func installed(all []file) []file {
	var at []file
	for _, f := range all {
		switch dir, base := path.Split(f.name); {
		case dir == "":
			f.name = "usr/share/doc/slipway/" + base
			if f.mode == 0o755 {
				f.name = "usr/bin/" + base
			}
			if base == "LICENSE" {
				f.name = "usr/share/doc/slipway/copyright"
			}
		case dir == "completions/":
			i := slices.IndexFunc(completions, func(c struct{ shell, name, installed string }) bool {
				return c.name == base
			})
			if f.name = completions[i].installed; f.name == "" {
				continue
			}
		case strings.HasPrefix(dir, "man/"):
			f.name = "usr/share/" + f.name
		default:
			f.name = "usr/share/doc/slipway/" + f.name
		}
		at = append(at, f)
	}
	slices.SortFunc(at, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return at
}

var codeFence = regexp.MustCompile("(?m)^```.*\n")

// manualPages makes a page in section 1 for each command, from the generated reference.
func manualPages(dir, version string) ([]file, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, fmt.Errorf("%s has no pages", dir))
	}
	var pages []file
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		page := "slipway-" + strings.TrimSuffix(filepath.Base(name), ".md")
		if page == "slipway-README" {
			page = "slipway"
		}
		pages = append(pages, file{"man/man1/" + page + ".1", 0o644, manual(page, version, string(text))})
	}
	return pages, nil
}

// manual turns a page of the reference, which is headings, sentences and blocks of help, into roff. The title
// and the sentence below it become the section NAME, which whatis and apropos read.
func manual(page, version, text string) []byte {
	b := &bytes.Buffer{}
	fmt.Fprintf(b, ".TH %s 1 \"\" \"slipway %s\"\n", strings.ToUpper(page), version)
	literal, isTitled, isNamed := false, false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case codeFence.MatchString(line + "\n"):
			literal = !literal
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[literal])
		case strings.HasPrefix(line, "<!--"), strings.HasPrefix(line, "|---"), line == "| | |":
		case strings.HasPrefix(line, "# ") && !isTitled:
			isTitled = true
			b.WriteString(".SH NAME\n")
		case isTitled && !isNamed && line != "":
			isNamed = true
			fmt.Fprintf(b, "%s \\- %s\n.SH DESCRIPTION\n", escape(page), escape(strings.TrimSuffix(line, ".")))
		case !isNamed:
		case strings.HasPrefix(line, "#") && !literal:
			fmt.Fprintf(b, ".SH %s\n", escape(strings.TrimLeft(line, "# ")))
		case strings.HasPrefix(line, "| ") && !literal:
			cells := strings.SplitN(strings.Trim(line, "| "), " | ", 2)
			name, _, _ := strings.Cut(strings.Trim(cells[0], "[`"), "`")
			fmt.Fprintf(b, ".TP\n%s\n%s\n", escape(name), escape(cells[len(cells)-1]))
		case line == "" && !literal:
			b.WriteString(".PP\n")
		default:
			fmt.Fprintln(b, escape(line))
		}
	}
	return b.Bytes()
}

// escape keeps roff from reading a line as a request.
func escape(line string) string {
	line = strings.ReplaceAll(line, `\`, `\e`)
	line = strings.ReplaceAll(line, "-", `\-`)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

var isLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([.-].*)?$`).MatchString

// licences joins the licences of the modules that slipway and slipway-sandbox are made of.
func licences(ctx context.Context, root string) ([]byte, error) {
	dirs := map[string]string{}
	for _, module := range []string{".", "sandbox"} {
		cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Module", "./...")
		cmd.Dir = filepath.Join(root, module)
		if module == "." {
			cmd.Args[len(cmd.Args)-1] = "./cmd/slipway"
		}
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			var p struct {
				Module *struct{ Path, Version, Dir string }
			}
			if err := d.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			if p.Module != nil && p.Module.Version != "" {
				dirs[p.Module.Path+" "+p.Module.Version] = p.Module.Dir
			}
		}
	}
	return joinLicences(dirs)
}

func joinLicences(dirs map[string]string) ([]byte, error) {
	b := &bytes.Buffer{}
	for _, module := range slices.Sorted(maps.Keys(dirs)) {
		files, err := os.ReadDir(dirs[module])
		if err != nil {
			return nil, err
		}
		found := false
		for _, f := range files {
			if f.IsDir() || !isLicence(f.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dirs[module], f.Name()))
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(b, "==== %s: %s\n\n%s\n", module, f.Name(), text)
			found = true
		}
		if !found {
			fmt.Fprintf(b, "==== %s: has no licence file in its root\n\n", module)
		}
	}
	return b.Bytes(), nil
}
