package ci

import (
	"strings"
	"testing"
)

type vars = map[string]string

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		env       vars
		platform  string
		isRunning bool
		actor     string
	}{
		"a laptop":              {},
		"GitHub":                {vars{"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "ada"}, "github", true, "ada"},
		"a container of GitHub": {vars{"GITHUB_REF": "refs/heads/main"}, "github", true, ""},
		"GitLab":                {vars{"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "ada"}, "gitlab", true, "ada"},
		"Bitbucket":             {vars{"BITBUCKET_COMMIT": "1"}, "bitbucket", true, ""},
		"Azure":                 {vars{"TF_BUILD": "True", "BUILD_REQUESTEDFOR": "Ada"}, "azure", true, "Ada"},
		"CircleCI":              {vars{"CIRCLECI": "true", "CIRCLE_USERNAME": "ada"}, "circleci", true, "ada"},
		"another":               {vars{"CI": "1"}, "", true, ""},
		"switched off":          {vars{"CI": "false", "GITHUB_ACTIONS": "false"}, "", false, ""},
		"no actor of its own":   {vars{"CI": "1", "GITHUB_ACTOR": "ada"}, "", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			env := func(name string) string { return c.env[name] }
			if got := Detect(env).Name; got != c.platform || IsRunning(env) != c.isRunning {
				t.Errorf("platform %q, running: %v", got, IsRunning(env))
			}
			actor, inCI := strings.CutSuffix(Actor(env), " (CI)")
			if inCI != (c.actor != "") || inCI && actor != c.actor {
				t.Errorf("actor %q", Actor(env))
			}
		})
	}
}
