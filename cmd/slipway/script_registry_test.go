package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/image/imagetest"
)

// located is where a repository is: in the sandbox's registry, unless it names another on this machine.
func located(repository string) string {
	if strings.HasPrefix(repository, "127.0.0.1:") {
		return repository
	}
	return shared.Registry + "/" + repository
}

// cmdRegistry looks into the registry, or pushes a small image that was not built:
//
//	registry push REPOSITORY:TAG [LABEL=VALUE…]   for amd64, or what the label arch says
//	registry index REPOSITORY:TAG [LABEL=VALUE…]   one for arm64 and amd64, with attestations
//	registry other VARIABLE                  starts one beside it, empty; $VARIABLE is its 127.0.0.1:port
//	registry tags REPOSITORY
//	registry labels REPOSITORY               prints "TAG LABEL=VALUE" lines
//	registry digest REPOSITORY:TAG VARIABLE
//	registry layer REPOSITORY:TAG VARIABLE   the digest of its last layer
//	registry tag REPOSITORY@DIGEST TAG       has a tag name what has a digest
//	registry clear REPOSITORY                deletes its images
//	registry busybox REPOSITORY:TAG          pushes a base image in which RUN has a shell
//	registry cat REPOSITORY:TAG FILE         prints a file of an image
//	registry attested REPOSITORY:TAG         prints what kinds of statements are attached
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: registry push|index|other|tags|labels|digest|layer|tag|clear|busybox|cat|attested …")
	}
	at := located(args[1])
	switch args[0] {
	case "push":
		labels := pairs(args[2:])
		imagetest.Push(at, imagetest.Image(64, cmp.Or(labels["arch"], "amd64"), labels))
	case "index":
		imagetest.Push(at, imagetest.Index(200_000, pairs(args[2:]), "amd64"))
	case "other":
		s := httptest.NewServer(memory.New(memory.Logger(log.New(io.Discard, "", 0))))
		ts.Defer(s.Close)
		ts.Setenv(args[1], strings.TrimPrefix(s.URL, "http://"))
	case "tags":
		repo, err := name.NewRepository(at, name.Insecure)
		ts.Check(err)
		tags, err := remote.List(repo)
		var answer *transport.Error
		if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
			return // an empty repository
		}
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), strings.Join(tags, "\n"))
	case "labels", "clear":
		repo, err := name.NewRepository(at, name.Insecure)
		ts.Check(err)
		tags, err := remote.List(repo)
		ts.Check(err)
		for _, tag := range tags {
			if args[0] == "labels" {
				printLabels(ts, repo.Tag(tag))
				continue
			}
			desc, err := remote.Head(repo.Tag(tag))
			var answer *transport.Error
			if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
				continue // it had another tag
			}
			ts.Check(err)
			ts.Check(remote.Delete(repo.Digest(desc.Digest.String())))
		}
	case "digest":
		ref, err := name.ParseReference(at, name.Insecure)
		ts.Check(err)
		desc, err := remote.Head(ref)
		ts.Check(err)
		ts.Setenv(args[2], desc.Digest.String())
	case "layer":
		ref, err := name.ParseReference(at, name.Insecure)
		ts.Check(err)
		img, err := remote.Image(ref)
		ts.Check(err)
		m, err := img.Manifest()
		ts.Check(err)
		ts.Setenv(args[2], m.Layers[len(m.Layers)-1].Digest.String())
	case "tag":
		ref, err := name.NewDigest(at, name.Insecure)
		ts.Check(err)
		content, err := remote.Get(ref)
		ts.Check(err)
		ts.Check(remote.Tag(ref.Context().Tag(args[2]), content))
	case "busybox":
		img, err := busybox()
		ts.Check(err)
		imagetest.Push(at, img)
	case "cat", "attested":
		ref, err := name.ParseReference(at, name.Insecure)
		ts.Check(err)
		if args[0] == "cat" {
			ts.Check(printFile(ts.Stdout(), ref, args[2]))
		} else {
			ts.Check(printStatements(ts.Stdout(), ref))
		}
	default:
		ts.Fatalf("registry: unknown verb %s", args[0])
	}
}

// pairs reads KEY=VALUE arguments.
func pairs(args []string) map[string]string {
	out := map[string]string{}
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		out[k] = v
	}
	return out
}

func printLabels(ts *testscript.TestScript, tag name.Tag) {
	img, err := remote.Image(tag)
	ts.Check(err)
	cfg, err := img.ConfigFile()
	ts.Check(err)
	for _, k := range slices.Sorted(maps.Keys(cfg.Config.Labels)) {
		fmt.Fprintf(ts.Stdout(), "%s %s=%s\n", tag.TagStr(), k, cfg.Config.Labels[k])
	}
}
