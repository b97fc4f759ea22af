package main

import (
	"encoding/json"
	"net"
	"net/http"
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
	known, ok := forges.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no forge was started")
	}
	server := known.(*forgetest.Server)
	switch args[0] {
	case "pulls":
		printLines(ts, server.Pulls(args[1]))
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
	case "check", "run":
		server.AddCheck(forgetest.Check{Commit: args[1], Name: args[2], State: args[3], Run: args[0] == "run"})
	case "checks":
		printLines(ts, server.Checks())
	case "deployments":
		printLines(ts, server.Deployments())
	case "comments":
		printLines(ts, server.Comments())
	default:
		ts.Fatalf("forge: unknown %s", args[0])
	}
}

func printLines[T any](ts *testscript.TestScript, all []T) {
	for _, item := range all {
		encoder := json.NewEncoder(ts.Stdout())
		encoder.SetEscapeHTML(false)
		ts.Check(encoder.Encode(item))
	}
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
