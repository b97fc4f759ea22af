// Command release makes what a version of Slipway is published as: archives, deb and rpm packages, a Homebrew
// formula, a krew manifest, bills of materials, provenance, checksums and their signatures. The same input
// gives the same bytes, signatures excepted.
//
//	go run . -version v0.1.0 -out ../dist [-platforms linux/amd64,…] [-url URL] [-key FILE]
//
// It is a module of its own, because nothing of it is part of slipway.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// options are the flags.
type options struct {
	version   string // v1.2.3
	root, out string // the repository, and the directory of the result
	platforms []string
	url       string // where a release is published, without the version
	key       string // file of a private key in PEM, plain or as cosign encrypts it; empty: no signature
}

func main() {
	var o options
	var platforms string
	flag.StringVar(&o.version, "version", "", "version, such as v0.1.0")
	flag.StringVar(&o.root, "root", "..", "the repository")
	flag.StringVar(&o.out, "out", "../dist", "directory of the result")
	flag.StringVar(&platforms, "platforms", allPlatforms, "OS/ARCH, separated by commas")
	flag.StringVar(&o.url, "url", "", "URL under which releases are published; VERSION/FILE follows")
	flag.StringVar(&o.key, "key", "", "private key that signs the checksums; $COSIGN_PASSWORD decrypts it")
	flag.Parse()
	o.platforms = strings.Split(platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var isVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString

func run(ctx context.Context, o options) error {
	if !isVersion(o.version) {
		return fmt.Errorf("version %q: want one such as v0.1.0", o.version)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if files, err := os.ReadDir(o.out); err != nil || len(files) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: remove it first", o.out))
	}
	commit, err := headOf(ctx, o.root)
	if err != nil {
		return err
	}
	host, err := compileHost(ctx, o)
	if err != nil {
		return err
	}
	extra, err := collect(ctx, o, host)
	if err != nil {
		return err
	}
	for _, p := range o.platforms {
		system, arch, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("platform %q: want OS/ARCH", p)
		}
		programs, err := compile(ctx, o, system, arch)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if err := publish(o, target{system, arch, programs}, extra); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return finish(o, commit)
}

// target is one platform with its programs.
type target struct {
	os, arch string
	programs []file
}

// name is the start of the platform's file names.
func (t target) name(version string) string {
	return strings.Join([]string{"slipway", strings.TrimPrefix(version, "v"), t.os, t.arch}, "_")
}

// publish writes the archive, the bill of materials and the packages of one platform.
func publish(o options, t target, extra []file) error {
	name := t.name(o.version)
	bill, err := billOfMaterials(name, o.version, t.programs)
	if err != nil {
		return err
	}
	write := func(suffix string, text []byte, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", suffix, err)
		}
		return os.WriteFile(filepath.Join(o.out, name+suffix), text, 0o644)
	}
	all := slices.Concat(t.programs, extra)
	err = write(".spdx.json", bill, nil)
	if t.os == "windows" {
		text, failed := zipOf(name, all)
		return errors.Join(err, write(".zip", text, failed))
	}
	text, failed := tarOf(name, all)
	err = errors.Join(err, write(".tar.gz", text, failed))
	if t.os == "linux" {
		text, failed := debOf(o.version, t.arch, installed(all))
		err = errors.Join(err, write(".deb", text, failed))
		text, failed = rpmOf(o.version, t.arch, installed(all))
		err = errors.Join(err, write(".rpm", text, failed))
	}
	return err
}

// finish writes what has checksums of the files: their provenance, those themselves, the signatures of both,
// the formula and the plugin.
func finish(o options, commit string) error {
	names, err := filepath.Glob(filepath.Join(o.out, "slipway_*"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	sums := map[string]string{}
	var list strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		base := filepath.Base(name)
		sums[base] = fmt.Sprintf("%x", sha256.Sum256(text))
		fmt.Fprintf(&list, "%s  %s\n", sums[base], base)
	}
	statement, err := provenanceOf(o, commit, sums)
	if err != nil {
		return err
	}
	provenance := "slipway_" + strings.TrimPrefix(o.version, "v") + "_provenance.json"
	fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(statement), provenance)
	files := map[string]string{
		"checksums.txt": list.String(),
		"slipway.rb":    formula(o, sums),
		"slipway.yaml":  plugin(o, sums),
		provenance:      string(statement),
	}
	if o.key != "" {
		signature, err := sign(o.key, []byte(os.Getenv("COSIGN_PASSWORD")), []byte(list.String()))
		if err != nil {
			return fmt.Errorf("sign with %s: %w", o.key, err)
		}
		files["checksums.txt.sig"] = signature
		signed, err := envelope(o, statement)
		if err != nil {
			return fmt.Errorf("sign the provenance with %s: %w", o.key, err)
		}
		files[strings.TrimSuffix(provenance, ".json")+".intoto.jsonl"] = string(signed)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
