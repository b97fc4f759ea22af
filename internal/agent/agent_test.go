package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const head = "repositories:\n- url: https://example.com/a.git\n"
	for text, want := range map[string]string{
		"":                                "the file is empty: it needs repositories",
		"listen: x\n":                     "it names no repositories",
		"repositories:\n- branch: main\n": "repositories[0]: url is missing",
		head: "repositories[0]: environments is empty: " +
			"name those of the repository's slipway.yaml",
		head + "  intervall: 1s\n": `line 3: unknown key "intervall" (did you mean "interval"?)`,
		head + "  interval: soon\n": `line 3: want a duration of at least 100ms, ` +
			`such as 15s, not "soon"`,
		head + "  environments: {a: {x: 1}}\n": `line 3: unknown key "x" ` +
			`(known: context, namespace, serviceAccount, onCommit, onDrift, writeBack, promote, onPullRequest, ` +
			`takeOver, after, windows, repairWindows, watchWindow)`,
		head + "  environments: {a: {onDrift: fix}}\n": `repositories[0]: ` +
			`environments.a.onDrift: want repair or report, not "fix"`,
		head + "  forge: {tokenfile: x}\n": `line 3: unknown key "tokenfile" (did you mean "tokenFile"?)`,
		head + "  forge: {}\n  environments: {a: {}}\n": "repositories[0]: forge: kind: " +
			`want github, gitlab or gitea, not ""`,
		head + "  forge: {kind: github, githubApp: {id: x}}\n  environments: {a: {}}\n": "" +
			"repositories[0]: forge: githubApp needs id, installation and privateKeyFile",
		head + "  credentials: {githubApp: {iD: x}}\n":                  `line 3: unknown key "iD" (did you mean "id"?)`,
		head + "  previews: {namespace: a-}\n  environments: {a: {}}\n": "repositories[0]: previews: forge is missing",
		head + "  forge: {kind: gitea, tokenFile: x}\n  previews: {namespace: a}\n  environments: {a: {}}\n": "" +
			"repositories[0]: previews: namespace: want what the namespaces begin with, such as shop-pr-, " +
			`not "a"`,
		head + "  forge: {kind: gitea, tokenFile: x}\n  previews: {namespace: a-, quota: {pods: few}}\n" +
			"  environments: {a: {}}\n": "repositories[0]: previews: quota.pods: want a quantity such as 4 or 2Gi, " +
			`not "few"`,
		head + "  previews: {lable: x}\n":                       `line 3: unknown key "lable" (did you mean "label"?)`,
		head + "  publish: [status]\n  environments: {a: {}}\n": "repositories[0]: publish: forge is missing",
		head + "  publish: [note]\n  environments: {a: {}}\n": "repositories[0]: publish: " +
			`want status or deployment, not "note"`,
		head + "  forge: {kind: gitea, tokenFile: x}\n  publish: [deployment]\n  environments: {a: {}}\n": "" +
			"repositories[0]: publish: gitea has no deployments: want status",
		head + "  submodules: all\n  environments: {a: {}}\n": "repositories[0]: " +
			`submodules: want refuse or allow, not "all"`,
		head + "  environments: {a: {}}\n" + strings.TrimPrefix(head, "repositories:\n") +
			"  submodules: allow\n  environments: {b: {}}\n": "repositories[1]: the same repository as " +
			"repositories[0], with other submodules",
		"limits: {cloneSize: 1TB}\n" + head: `line 1: want a size of at least 1Mi, such as 2Gi, not "1TB"`,
		"limits: {renderMemory: 512k}\n" + head: "line 1: want a size of at least 1Mi, " +
			`such as 2Gi, not "512k"`,
		"limits: {renderTime: 5}\n" + head: `line 1: want a duration of at least 100ms, such as 15s, not "5"`,
		"limits: {cloneLimit: 1Gi}\n" + head: `line 1: unknown key "cloneLimit" (known: cloneSize, ` +
			"renderMemory, renderTime)",
		"lease: {name: a}\n" + head: "lease: namespace and name are required",
		"repositories:\n- url: --upload-pack=x\n  environments: {a: {}}\n": "repositories[0]: " +
			"url and branch must not begin with a dash",
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	c, err := Parse([]byte("limits: {cloneSize: 2Gi, renderMemory: 512M, renderTime: 90s}\n" + head +
		"  environments: {a: }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Limits{2 << 30, 512e6, Duration(90 * time.Second)}); c.Limits != want {
		t.Errorf("limits %+v", c.Limits)
	}
	r := c.Repositories[0]
	want := Environment{
		OnCommit: Deploy, OnDrift: Report, WriteBack: Never, Promote: Never, OnPullRequest: Never,
		WatchWindow: Duration(10 * time.Minute),
	}
	if diff := cmp.Diff(want, r.Environments["a"]); diff != "" {
		t.Error(diff)
	}
	if r.Branch != "main" || r.Interval != Duration(15*time.Second) {
		t.Errorf("repository %+v", r)
	}
}

// A webhook asks for a poll only where it is signed with the secret of the repository that it names.
func TestHook(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sign := func(key, body string) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(body))
		return hex.EncodeToString(mac.Sum(nil))
	}
	const github, gitlab = "X-Hub-Signature-256", "X-Gitlab-Token"
	signed, forged := "sha256="+sign("s3cret", "{}"), "sha256="+sign("other", "{}")
	huge := strings.Repeat("x", maxHook+1)
	for name, c := range map[string]struct {
		path, header, value, body string
		want                      int
	}{
		"GitHub":          {"0", github, signed, "{}", http.StatusAccepted},
		"Gitea":           {"0", "X-Gitea-Signature", sign("s3cret", "{}"), "{}", http.StatusAccepted},
		"GitLab":          {"0", gitlab, "s3cret", "{}", http.StatusAccepted},
		"unsigned":        {"0", "X-Other", "", "{}", http.StatusUnauthorized},
		"forged":          {"0", github, forged, "{}", http.StatusUnauthorized},
		"another body":    {"0", github, signed, "{ }", http.StatusUnauthorized},
		"a wrong token":   {"0", gitlab, "s3cre", "{}", http.StatusUnauthorized},
		"huge":            {"0", gitlab, "s3cret", huge, http.StatusRequestEntityTooLarge},
		"takes no hooks":  {"1", gitlab, "s3cret", "{}", http.StatusNotFound},
		"no such":         {"2", gitlab, "s3cret", "{}", http.StatusNotFound},
		"not even number": {"-1", gitlab, "s3cret", "{}", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Config{}, Options{Log: slog.New(slog.DiscardHandler)})
			for _, file := range []string{secret, ""} {
				r := Repository{URL: "https://example.com/a.git", WebhookSecret: file}
				a.follows = append(a.follows, &follower{mirror: newMirror(r, newRemote(r, "", nil))})
			}
			request := httptest.NewRequest(http.MethodPost, "/hooks/"+c.path, strings.NewReader(c.body))
			request.SetPathValue("repository", c.path)
			request.Header.Set(c.header, c.value)
			answer := httptest.NewRecorder()
			endpoints{a}.serveHook(answer, request)
			if answer.Code != c.want {
				t.Errorf("answers %d, want %d", answer.Code, c.want)
			}
			if poked := len(a.follows[0].mirror.remote.poke) > 0; poked != (c.want == http.StatusAccepted) {
				t.Errorf("polls: %t", poked)
			}
		})
	}
}
