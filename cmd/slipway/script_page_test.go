package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPage prints a page of `slipway ui`, whose output is in FILE, as a browser without JavaScript gets it:
// page FILE PATH, or page FILE PATH FIELD=VALUE... to send a form, whose values are those of formOf. With !
// the answer must be an error.
func cmdPage(ts *testscript.TestScript, neg bool, args []string) {
	answer := askPage(ts, args)
	_, err := io.WriteString(ts.Stdout(), answer.text)
	ts.Check(err)
	if isError := answer.status >= 400; isError != neg {
		ts.Fatalf("%s answers with %d", args[1], answer.status)
	}
}

// shownPage is the answer to a request for a page.
type shownPage struct {
	status int
	text   string
}

func askPage(ts *testscript.TestScript, args []string) shownPage {
	if len(args) < 2 {
		ts.Fatalf("usage: page FILE PATH [FIELD=VALUE...]")
	}
	address := strings.TrimSpace(ts.ReadFile(args[0]))
	base, _, found := strings.Cut(address, "/?token=")
	if !found {
		ts.Fatalf("%s has no address: %q", args[0], address)
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	client := &http.Client{Jar: jar}
	in, err := client.Get(address)
	ts.Check(err)
	ts.Check(in.Body.Close())
	var answer *http.Response
	if len(args) == 2 {
		answer, err = client.Get(base + args[1])
	} else {
		answer, err = client.PostForm(base+args[1], formOf(ts, args[2:]))
	}
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return shownPage{answer.StatusCode, string(text)}
}
