package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHook sends a webhook to the agent whose address is in a file, and expects a status: hook STATUS
// ADDRESSFILE REPOSITORY SECRET BODY. The signature is in X-Signature. A body of "N bytes" is that large.
func cmdHook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 && len(args) != 6 {
		ts.Fatalf("usage: hook STATUS ADDRESSFILE REPOSITORY SECRET BODY [ANSWER]")
	}
	body := args[4]
	if size, ok := strings.CutSuffix(body, " bytes"); ok {
		n, err := strconv.Atoi(size)
		ts.Check(err)
		body = strings.Repeat("x", n)
	}
	mac := hmac.New(sha256.New, []byte(args[3]))
	io.WriteString(mac, body)
	url := "http://" + strings.TrimSpace(ts.ReadFile(args[1])) + "/hooks/" + args[2]
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ts.Check(err)
	if len(args) == 6 && !strings.Contains(string(answer), args[5]) {
		ts.Fatalf("the agent does not answer %q: %s", args[5], answer)
	}
	if got := fmt.Sprint(response.StatusCode); got != args[0] {
		ts.Fatalf("the agent answers %s, not %s: %s", got, args[0], answer)
	}
}
