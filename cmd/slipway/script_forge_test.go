package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/git/forge/forgetest"
)

// forges are the running forges, by script.
var forges sync.Map

// cmdForge serves a forge's API on this host, whose only valid token is "s3cret":
//
//	forge start github|gitlab|gitea VARIABLE  puts its address into a variable
//	forge pulls REPOSITORY                    prints the pull requests as JSON, one a line
//	forge open REPOSITORY BRANCH LABEL|""     opens a pull request into main, as a person does
//	forge fork REPOSITORY BRANCH LABEL|""     the same from a fork
//	forge close REPOSITORY NUMBER
//	forge app ID INSTALLATION FILE            installs a GitHub App, and writes its key: it makes all tokens then
//	forge revoke                              makes the token of the app invalid
//	forge tokens                              prints how many the app has made
//	forge check COMMIT NAME STATE             reports a commit status; "run" in place of "check": a check run
//	forge checks|deployments|comments         prints them as JSON, one a line
//
// A request that the published API does not describe fails the script at its end.
func cmdForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: forge start|pulls …")
	}
	if args[0] == "start" {
		startForge(ts, args[1], args[2])
		return
	}
	server := forgeOf(ts)
	switch args[0] {
	case "open", "fork":
		p := forgetest.Pull{Title: args[2], Branch: args[2], Into: "main", Fork: args[0] == "fork"}
		if args[3] != "" {
			p.Labels = []string{args[3]}
		}
		server.Add(args[1], p)
	case "close":
		number, err := strconv.Atoi(args[2])
		ts.Check(err)
		server.Close(args[1], number)
	case "app":
		installApp(ts, server, args[1], args[2], args[3])
	case "revoke":
		server.Revoke()
	case "check", "run":
		server.AddCheck(forgetest.Check{Commit: args[1], Name: args[2], State: args[3], Run: args[0] == "run"})
	default:
		_, err := io.WriteString(ts.Stdout(), lookAtForge(ts, args))
		ts.Check(err)
	}
}

func forgeOf(ts *testscript.TestScript) *forgetest.Server {
	known, ok := forges.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no forge was started")
	}
	return known.(*forgetest.Server)
}

// lookAtForge is what `forge pulls`, checks, deployments or comments prints.
func lookAtForge(ts *testscript.TestScript, args []string) string {
	server := forgeOf(ts)
	switch args[0] {
	case "pulls":
		return forgeLines(ts, server.Pulls(args[1]))
	case "tokens":
		return fmt.Sprintln(server.Tokens())
	case "checks":
		return forgeLines(ts, server.Checks())
	case "deployments":
		return forgeLines(ts, server.Deployments())
	case "comments":
		return forgeLines(ts, server.Comments())
	}
	ts.Fatalf("forge: unknown %s", args[0])
	return ""
}

func forgeLines[T any](ts *testscript.TestScript, all []T) string {
	var b strings.Builder
	for _, item := range all {
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		ts.Check(encoder.Encode(item))
	}
	return b.String()
}

// installApp makes a key for an app, in a file.
func installApp(ts *testscript.TestScript, server *forgetest.Server, id, installation, file string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	ts.Check(os.WriteFile(ts.MkAbs(file), block, 0o600))
	server.App = &forgetest.App{ID: id, Installation: installation, Key: &key.PublicKey}
	server.Revoke()
}

func startForge(ts *testscript.TestScript, kind, variable string) {
	server := &forgetest.Server{Kind: kind, Token: "s3cret"}
	gitServer := ts.Getenv("GITSERVER")
	server.Commit = func(repository, branch string) string {
		at := "http://" + gitServer + "/" + repository + ".git"
		out, err := exec.Command("git", "ls-remote", at, "refs/heads/"+branch).Output()
		if commit, _, _ := strings.Cut(string(out), "\t"); err == nil {
			return commit
		}
		return ""
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	go http.Serve(l, server) //nolint:errcheck // it ends with the script
	forges.Store(ts.Getenv("WORK"), server)
	ts.Setenv(variable, "http://"+l.Addr().String())
	ts.Defer(func() {
		l.Close()
		forges.Delete(ts.Getenv("WORK"))
		for _, wrong := range server.Wrong() {
			ts.Logf("the forge does not understand %s", wrong)
		}
		if len(server.Wrong()) > 0 {
			ts.Fatalf("the forge's API does not describe these requests")
		}
	})
}
