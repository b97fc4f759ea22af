package builder

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// Request describes an image to build and push.
type Request struct {
	Context    string // folder
	Dockerfile string // path of the file; empty: Dockerfile in Context
	Target     string
	BuildArgs  map[string]string
	Labels     map[string]string
	// Annotations are part of the manifest, so that they can be read with one request.
	Annotations map[string]string
	Platforms   []string // "linux/amd64"; empty: the builder's own
	// Anew ignores the cache, and resolves the tags of base images again.
	Anew       bool
	Secrets    []Secret
	SSH        bool // lend the build the SSH agent
	Cache      Cache
	Provenance string // "min", "max"; empty: none
	SBOM       string // the image that makes one; empty: none
	// Repository is where the image is pushed, at its real address: "127.0.0.1:5000/acme/myapp".
	Repository string
	// Tag is used only by Docker's classic image store, which cannot push by digest.
	Tag string
	// Epoch is the time of all files in the image, in seconds since 1970, so that the same source has the same
	// digest.
	Epoch int64
	// Progress receives the log; nil: none. On a terminal it is redrawn, unless Plain is set.
	Progress io.Writer
	Plain    bool
	// Notify is told what the user should know, in one line each. It may be nil.
	Notify func(string)
}

// Result describes the pushed image.
type Result struct {
	Digest string
	// Tagged: the builder could not push by digest alone, so that Request.Tag already names the image.
	Tagged bool
	// Unforeseen: the build read files of the context that Inputs does not include, so that their digest does
	// not identify this content.
	Unforeseen bool
	// Warnings are BuildKit's warnings about the Dockerfile.
	Warnings []Warning
}

// Warning is about a line of the Dockerfile, or about the whole file (0).
type Warning struct {
	Line int
	Text string
}

// BuildError has the file and the step that failed, and the last lines that the step printed.
type BuildError struct {
	Step string // "[2/2] RUN make"
	File string
	Line int
	Log  []string
	Err  error
}

func (e *BuildError) Error() string {
	at := e.File
	if e.Line > 0 {
		at += ":" + strconv.Itoa(e.Line)
	}
	if e.Step == "" {
		return fmt.Sprintf("build %s: %s", at, message(e.Err))
	}
	return fmt.Sprintf("build %s: %s: %s", at, e.Step, message(e.Err))
}

func (e *BuildError) Unwrap() error { return e.Err }

// LacksFile says that the step copies a file that the context does not have.
func (e *BuildError) LacksFile() bool {
	return strings.Contains(e.Step, "] COPY ") && strings.HasSuffix(e.Err.Error(), "not found")
}

// PushError says that a built image could not be pushed.
type PushError struct {
	Repository string
	Err        error
}

func (e *PushError) Error() string {
	return fmt.Sprintf("push to %s: %s", e.Repository, message(e.Err))
}
func (e *PushError) Unwrap() error { return e.Err }

// FullError says that the disk is full where the embedded engine works.
type FullError struct{ Folder string }

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk is full at %s, where the embedded engine keeps its cache", e.Folder)
}

// PlatformError says that a base image does not exist for the requested platform. BuildKit only warns, and
// pushes an image with a wrong platform.
type PlatformError struct{ Detail string }

func (e *PlatformError) Error() string { return e.Detail }

// BaseError says that a base image, or an image to copy from, could not be pulled.
type BaseError struct{ Image, Why string }

func (e *BaseError) Error() string { return fmt.Sprintf("base image %s: %s", e.Image, e.Why) }

// Build builds an image and pushes it by digest. It writes no tag, except in Docker's classic image store
// (Result.Tagged).
func (b *Builder) Build(ctx context.Context, r Request) (Result, error) {
	var unforeseen atomic.Bool
	opt, err := b.solveOptions(r, &unforeseen)
	if err != nil {
		return Result{}, err
	}
	show, err := display(r)
	if err != nil {
		return Result{}, err
	}
	resp, seen, err := b.solve(ctx, opt, show)
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	if err != nil {
		return Result{}, b.explain(r, seen, err)
	}
	if seen.platform != "" {
		return Result{}, &BuildError{File: r.dockerfile(), Err: &PlatformError{Detail: seen.platform}}
	}
	if b.classic {
		digest, err := b.docker.push(ctx, localhost(r.Repository), r.Tag)
		if err != nil {
			return Result{}, fmt.Errorf("push %s:%s: %w", r.Repository, r.Tag, err)
		}
		return Result{Digest: digest, Tagged: true, Unforeseen: unforeseen.Load(), Warnings: seen.warnings}, nil
	}
	digest := resp.ExporterResponse["containerimage.digest"]
	if digest == "" {
		return Result{}, fmt.Errorf("build %s: %s returned no digest", r.dockerfile(), b.where)
	}
	return Result{Digest: digest, Unforeseen: unforeseen.Load(), Warnings: seen.warnings}, nil
}

func (r Request) dockerfile() string {
	if r.Dockerfile == "" {
		return filepath.Join(r.Context, "Dockerfile")
	}
	return r.Dockerfile
}

func (b *Builder) solveOptions(r Request, unforeseen *atomic.Bool) (client.SolveOpt, error) {
	file := r.dockerfile()
	text, err := os.ReadFile(file)
	if err != nil {
		return client.SolveOpt{}, fmt.Errorf("read Dockerfile: %w", err)
	}
	known := taken(text)
	sources, err := fsutil.NewFS(r.Context)
	if err != nil {
		return client.SolveOpt{}, fmt.Errorf("read build context: %w", err)
	}
	folder, err := fsutil.NewFS(filepath.Dir(file))
	if err != nil {
		return client.SolveOpt{}, fmt.Errorf("read Dockerfile: %w", err)
	}
	lent, err := r.lent()
	if err != nil {
		return client.SolveOpt{}, err
	}
	if b.classic && r.attested() {
		return client.SolveOpt{}, &AttestationError{Reason: "Docker's classic image store does not support them"}
	}
	exports, imports := b.cache(r)
	return client.SolveOpt{
		CacheExports:  exports,
		CacheImports:  imports,
		Frontend:      "dockerfile.v0",
		FrontendAttrs: b.frontendAttrs(r),
		LocalMounts:   map[string]fsutil.FS{"context": sources, "dockerfile": folder},
		LocalFilterOpt: func(name string, f *fsutil.FilterOpt) error {
			if name == "context" && !foresaw(known, f.FollowPaths) {
				unforeseen.Store(true)
			}
			return nil
		},
		Exports: []client.ExportEntry{b.export(r)},
		Session: append(lent, credentials()),
	}, nil
}

func (b *Builder) frontendAttrs(r Request) map[string]string {
	attrs := map[string]string{
		"filename":                    filepath.Base(r.dockerfile()),
		"build-arg:SOURCE_DATE_EPOCH": strconv.FormatInt(r.Epoch, 10),
	}
	if b.Embedded() {
		// A "# syntax=" line makes BuildKit pull a front end, which fails offline. This attribute turns that off.
		attrs["cmdline"] = "builtin"
	}
	if r.Target != "" {
		attrs["target"] = r.Target
	}
	if len(r.Platforms) > 0 {
		attrs["platform"] = strings.Join(r.Platforms, ",")
	}
	if r.Anew {
		attrs["no-cache"], attrs["image-resolve-mode"] = "", "pull"
	}
	if r.Provenance != "" {
		attrs["attest:provenance"] = "mode=" + r.Provenance
	}
	if r.SBOM != "" {
		attrs["attest:sbom"] = "generator=" + r.SBOM
	}
	for k, v := range r.BuildArgs {
		attrs["build-arg:"+k] = v
	}
	for k, v := range r.Labels {
		attrs["label:"+k] = v
	}
	return attrs
}

func (b *Builder) export(r Request) client.ExportEntry {
	if b.classic {
		return client.ExportEntry{Type: "moby",
			Attrs: map[string]string{"name": localhost(r.Repository) + ":" + r.Tag}}
	}
	attrs := map[string]string{
		"name":              r.Repository,
		"push":              "true",
		"push-by-digest":    "true", // BuildKit would overwrite a tag silently
		"name-canonical":    "true",
		"oci-mediatypes":    "true",
		"rewrite-timestamp": "true",
	}
	for k, v := range r.Annotations {
		attrs["annotation."+k] = v
		if len(r.Platforms) > 1 || r.attested() {
			attrs["annotation-index."+k] = v
		}
	}
	if !b.Embedded() && PlainHTTP(registryOf(r.Repository)) {
		attrs["registry.insecure"] = "true"
		attrs["name"] = localhost(r.Repository)
	}
	return client.ExportEntry{Type: client.ExporterImage, Attrs: attrs}
}

// credentials come from the user's Docker configuration and its credential helpers.
func credentials() session.Attachable {
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(io.Discard)),
	})
}

func display(r Request) (progressui.Display, error) {
	switch {
	case r.Progress == nil:
		return progressui.NewDisplay(io.Discard, progressui.QuietMode)
	case r.Plain:
		return progressui.NewDisplay(r.Progress, progressui.PlainMode)
	}
	return progressui.NewDisplay(r.Progress, progressui.AutoMode)
}

func (b *Builder) solve(ctx context.Context, opt client.SolveOpt, show progressui.Display) (
	*client.SolveResponse, *observation, error) {
	statuses, shown := make(chan *client.SolveStatus), make(chan *client.SolveStatus)
	seen := &observation{}
	var resp *client.SolveResponse
	var g errgroup.Group
	g.Go(func() (err error) {
		resp, err = b.client.Solve(ctx, nil, opt, statuses)
		return err
	})
	g.Go(func() error {
		defer close(shown)
		for s := range statuses {
			seen.add(s)
			shown <- s
		}
		return nil
	})
	g.Go(func() error {
		// This context outlives the build, or the log of the failing step is lost.
		_, err := show.UpdateFrom(context.WithoutCancel(ctx), shown)
		return err
	})
	err := g.Wait()
	return resp, seen, err
}

// explain turns BuildKit's error into a typed one.
func (b *Builder) explain(r Request, seen *observation, err error) error {
	if b.engine != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return &FullError{Folder: filepath.Dir(b.engine.log)}
	}
	if strings.Contains(err.Error(), "failed to push ") {
		return &PushError{Repository: r.Repository, Err: err}
	}
	failed := seen.failed()
	e := &BuildError{Step: failed.name, File: r.dockerfile(), Line: lineOf(err), Log: failed.log, Err: err}
	if b.engine != nil && b.engine.noRuntime != "" && strings.Contains(err.Error(), refusal) {
		e.Step, e.Err = "", &NoRuntimeError{Step: failed.name, Reason: b.engine.noRuntime}
	}
	why := message(err)
	if at := unresolved.FindStringSubmatchIndex(why); at != nil {
		image := why[at[2]:at[3]]
		why = why[at[1]:]
		e.Step, e.Err = "", &BaseError{Image: image, Why: why}
	}
	if r.SBOM != "" && strings.Contains(err.Error()+failed.name, r.SBOM) {
		e.Err = &AttestationError{Reason: fmt.Sprintf("the SBOM scanner %s does not run: %s", r.SBOM, why)}
	}
	return e
}
