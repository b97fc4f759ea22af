package agent

import (
	"strings"
	"testing"
)

func TestAfter(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a chain": {`repositories:
  - url: https://example.com/a.git
    environments: {dev: {}, staging: {after: [dev]}, prod: {after: [staging, infra]}}
  - url: https://example.com/b.git
    environments: {infra: {}}`, ""},
		"unknown": {`repositories: [{url: "https://example.com/a.git", environments: {prod: {after: [stagin]}}}]`,
			`repositories[0]: environments.prod.after: no environment is named "stagin"`},
		"a circle": {`repositories:
  - url: https://example.com/a.git
    environments: {a: {after: [b]}, b: {after: [c]}, c: {after: [a]}}`, "they wait for each other"},
		"itself": {`repositories: [{url: "https://example.com/a.git", environments: {a: {after: [a]}}}]`,
			"after: a, a: they wait for each other"},
		"ambiguous": {`repositories:
  - url: https://example.com/a.git
    environments: {x: {after: [infra]}}
  - url: https://example.com/b.git
    environments: {infra: {}}
  - url: https://example.com/c.git
    environments: {infra: {}}`, `several repositories have an environment "infra"`},
	} {
		_, err := Parse([]byte(c.text))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceivers(t *testing.T) {
	const text = `repositories: [{url: "https://example.com/a.git", environments: {a: {}}}]
notifications: [`
	for name, c := range map[string]struct{ text, want string }{
		"fine":      {"{kind: slack, urlFile: /x, environments: [a], verdicts: [synced, rolled-back]}", ""},
		"kind":      {"{kind: mail, urlFile: /x}", `notifications[0]: kind: want webhook or slack, not "mail"`},
		"no file":   {"{kind: slack}", "urlFile is missing"},
		"signed":    {"{kind: slack, urlFile: /x, secretFile: /y}", "secretFile is for kind: webhook"},
		"unknown":   {"{kind: slack, url: /x}", `unknown key "url" (did you mean "urlFile"?)`},
		"no env":    {"{kind: slack, urlFile: /x, environments: [b]}", `no environment is named "b"`},
		"a verdict": {"{kind: slack, urlFile: /x, verdicts: [bad]}", `verdicts: unknown "bad"`},
	} {
		_, err := Parse([]byte(text + c.text + "]"))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
