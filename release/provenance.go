package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// statementType is the media type of an in-toto statement within an envelope.
const statementType = "application/vnd.in-toto+json"

// subject is a file that a statement is about.
type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// provenanceOf says how the files with these SHA-256 sums were made: an in-toto statement 1 with a predicate
// of SLSA provenance 1. It names the commit, the version, the platforms and the Go version, and no time or
// run: the same input gives the same bytes.
func provenanceOf(o options, commit string, sums map[string]string) ([]byte, error) {
	var subjects []subject
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		subjects = append(subjects, subject{name, map[string]string{"sha256": sums[name]}})
	}
	builder := "https://slipway.dev/release/local"
	if ref := os.Getenv("GITHUB_WORKFLOW_REF"); ref != "" {
		builder = os.Getenv("GITHUB_SERVER_URL") + "/" + ref
	}
	source := map[string]any{"digest": map[string]string{"gitCommit": commit}}
	if repository := os.Getenv("GITHUB_REPOSITORY"); repository != "" {
		source["uri"] = "git+" + os.Getenv("GITHUB_SERVER_URL") + "/" + repository
	}
	return json.MarshalIndent(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType": "https://slipway.dev/release/v1",
				"externalParameters": map[string]any{"version": o.version, "platforms": o.platforms,
					"url": o.url},
				"internalParameters":   map[string]any{"go": runtime.Version()},
				"resolvedDependencies": []any{source},
			},
			"runDetails": map[string]any{"builder": map[string]any{"id": builder}},
		},
	}, "", " ")
}

// envelope signs a statement as DSSE 1 has it, which `cosign verify-blob-attestation --key` takes.
func envelope(o options, statement []byte) ([]byte, error) {
	signature, err := sign(o.key, []byte(os.Getenv("COSIGN_PASSWORD")), preAuthentication(statement))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{
		"payloadType": statementType, "payload": base64.StdEncoding.EncodeToString(statement),
		"signatures": []any{map[string]string{"keyid": "", "sig": strings.TrimSpace(signature)}},
	})
	return append(text, '\n'), err
}

// preAuthentication is what DSSE signs: the type and the statement with their lengths in bytes.
func preAuthentication(statement []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(statementType), statementType, len(statement), statement)
}

// headOf is the commit that is checked out in a directory. It fails where files differ from the commit: the
// provenance would name a source that the programs are not of.
func headOf(ctx context.Context, dir string) (string, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return "", err
	}
	if changed != "" {
		return "", fmt.Errorf("uncommitted changes: commit them first:\n%s", changed)
	}
	return git("rev-parse", "HEAD")
}
