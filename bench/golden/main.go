// Command golden runs the pinned kustomize and helm on each case of internal/render/testdata/golden
// and keeps what they print beside it: cmd/slipway's tests compare slipway with that.
//
// A case is a txtar archive. Its comment says what it is for, then the peers' command lines, one a
// line; "! " before one means that it must fail, and "# " begins what slipway's error must say. The
// files are the input, NAME.base64 is decoded to NAME. What command N prints is kept as want/N.yaml,
// why it fails as want/N.err.
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/tools/txtar"
)

func main() {
	root := flag.String("root", "..", "the repository's folder")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}

// pointer is what kustomize's errors print now and then, another one each time.
var pointer = regexp.MustCompile(`&{0x[0-9a-f]+`)

// peers is where the commands are.
type peers struct{ bin string }

func run(root string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	p := peers{filepath.Join(root, "bin", "peers")}
	dir := filepath.Join(root, "internal", "render", "testdata", "golden")
	cases, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return err
	}
	var errs []error
	changed := 0
	for _, path := range cases {
		before, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after, err := p.answer(txtar.Parse(before))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Base(path), err))
			continue
		}
		if !bytes.Equal(before, after) {
			changed++
			fmt.Println("changed:", filepath.Base(path))
		}
		if err := os.WriteFile(path, after, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d cases, %d changed\n", len(cases), changed)
	return errors.Join(append(errs, p.versions(filepath.Join(dir, "PEERS")))...)
}

// answer puts what the peers print in the place of what they printed before.
func (p peers) answer(a *txtar.Archive) ([]byte, error) {
	dir, err := os.MkdirTemp("", "golden-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var input []txtar.File
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "want/") {
			continue
		}
		input = append(input, f)
		if err := unpack(dir, f); err != nil {
			return nil, err
		}
	}
	a.Files = input
	n := 0
	for line := range strings.Lines(string(a.Comment)) {
		words, fails := strings.CutPrefix(strings.TrimSpace(line), "! ")
		words, _, _ = strings.Cut(words, " # ")
		if !strings.HasPrefix(words, "kustomize build ") && !strings.HasPrefix(words, "helm template ") {
			continue
		}
		n++
		file, err := p.ask(dir, strings.Fields(words), fails)
		if err != nil {
			return nil, err
		}
		file.Name = fmt.Sprintf("want/%d.%s", n, file.Name)
		a.Files = append(a.Files, file)
	}
	if n == 0 {
		return nil, fmt.Errorf("no line begins with \"kustomize build \" or \"helm template \"")
	}
	return txtar.Format(a), nil
}

func unpack(dir string, f txtar.File) error {
	name, encoded := strings.CutSuffix(f.Name, ".base64")
	data := f.Data
	if encoded {
		var err error
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(f.Data))); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// ask runs one command; the file's name is the ending alone.
func (p peers) ask(dir string, words []string, fails bool) (txtar.File, error) {
	home, err := os.MkdirTemp("", "golden-home-")
	if err != nil {
		return txtar.File{}, err
	}
	defer os.RemoveAll(home)
	args := words[1:]
	if words[0] == "kustomize" {
		args = append(args, "--helm-command", filepath.Join(p.bin, "helm")) // for who enables Helm
	}
	cmd := exec.Command(filepath.Join(p.bin, words[0]), args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	err = cmd.Run()
	why := pointer.ReplaceAllString(strings.ReplaceAll(stderr.String(), dir, "$WORK"), "&{0x…")
	command := strings.Join(words, " ")
	switch {
	case fails && err == nil:
		return txtar.File{}, fmt.Errorf("%s does not fail", command)
	case fails && stdout.Len() > 0:
		return txtar.File{}, fmt.Errorf("%s fails, but prints", command)
	case fails:
		return txtar.File{Name: "err", Data: []byte(why)}, nil
	case err != nil:
		return txtar.File{}, fmt.Errorf("%s: %w: %s", command, err, why)
	}
	return txtar.File{Name: "yaml", Data: stdout.Bytes()}, nil
}

// versions writes down who was asked.
func (p peers) versions(file string) error {
	var text strings.Builder
	for _, peer := range []struct{ name, flag string }{{"kustomize", ""}, {"helm", "--template={{.Version}}"}} {
		args := []string{"version"}
		if peer.flag != "" {
			args = append(args, peer.flag)
		}
		out, err := exec.Command(filepath.Join(p.bin, peer.name), args...).Output()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s %s\n", peer.name, strings.TrimSpace(string(out)))
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}
