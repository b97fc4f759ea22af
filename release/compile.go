package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// compile builds the programs of a platform: slipway everywhere, and slipway-sandbox on Linux alone, because
// the sandbox's process is found by Linux's /proc.
func compile(ctx context.Context, o options, system, arch string) ([]file, error) {
	suffix := ""
	if system == "windows" {
		suffix = ".exe"
	}
	dir, err := os.MkdirTemp("", "slipway-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	flags := fmt.Sprintf("-s -w -X main.version=%s -X main.releases=%s", o.version, o.url)
	programs := []file{{name: "slipway" + suffix, mode: 0o755}}
	at := filepath.Join(dir, programs[0].name)
	if err := goBuild(ctx, o.root, system, arch, flags, at, "./cmd/slipway"); err != nil {
		return nil, err
	}
	if system == "linux" {
		flags, err := os.ReadFile(filepath.Join(o.root, "sandbox", "ldflags"))
		if err != nil {
			return nil, err
		}
		programs = append(programs, file{name: "slipway-sandbox", mode: 0o755})
		at := filepath.Join(dir, "slipway-sandbox")
		module := filepath.Join(o.root, "sandbox")
		if err := goBuild(ctx, module, system, arch, strings.TrimSpace(string(flags)), at, "."); err != nil {
			return nil, err
		}
	}
	for i := range programs {
		if programs[i].text, err = os.ReadFile(filepath.Join(dir, programs[i].name)); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

// compileHost builds the slipway that prints completions on this machine, and returns its path in Go's build
// cache directory.
func compileHost(ctx context.Context, o options) (string, error) {
	at := filepath.Join(os.TempDir(), fmt.Sprintf("slipway-release-%d", os.Getpid()))
	return at, goBuild(ctx, o.root, runtime.GOOS, runtime.GOARCH, "-s -w", at, "./cmd/slipway")
}

func goBuild(ctx context.Context, dir, system, arch, flags, out, what string) error {
	fmt.Fprintf(os.Stderr, "building %s for %s/%s\n", filepath.Base(out), system, arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o",
		out, what)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOFLAGS=")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", what, err, text.String())
	}
	return nil
}
