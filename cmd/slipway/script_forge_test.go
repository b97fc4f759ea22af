package main

import (
	"encoding/json"
	"net"
	"net/http"
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
//
// A request that the published API does not describe fails the script at its end.
func cmdForge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
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
	for _, p := range server.Pulls(args[1]) {
		line, err := json.Marshal(p)
		ts.Check(err)
		_, err = ts.Stdout().Write(append(line, '\n'))
		ts.Check(err)
	}
}

func startForge(ts *testscript.TestScript, kind, variable string) {
	server := &forgetest.Server{Kind: kind, Token: "s3cret"}
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
