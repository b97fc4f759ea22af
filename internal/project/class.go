package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/words"
)

// Words that say an environment's class, in the order in which people promote from one to the next. A star
// stands for any ending.
var classWords = []struct {
	class Class
	words string
}{
	{Local, "local localhost laptop tilt desktop orbstack colima"},
	{Local, "kind minikube k3d k3s microk8s codespace codespaces"},
	{Local, "dev*"},
	{Staging, "pr mr preview previews review ephemeral hotfix ci"},
	{Staging, "sandbox sbx nonprod nonproduction nonprd nprd lab nightly alpha"},
	{Staging, "test testing tst tests testenv e2e smoke drtest"},
	{Staging, "int integ integration sit"},
	{Staging, "qa quality homolog* hml beta"},
	{Staging, "acc acceptance acpt"},
	{Staging, "uat internal demo training rehearsal showcase rc"},
	{Staging, "perf performance load loadtest stress"},
	{Staging, "stage* staging* stg* stag prestage* prestaging"},
	{Staging, "canary preprod preproduction preprd prestable prelive nonlive"},
	{Production, "prod* prd* live"},
}

// Words that begin like those above and mean something else.
var otherWords = strings.Fields(
	"device devices " +
		"developer developers devportal devops devtool devtools product products producer producers stages")

// Words that say a class only where they end the name: kind-config and load-balancer say none.
var lastOnly = strings.Fields("kind load internal alpha beta canary int acc ci quality")

// classOf returns the class that the words of an environment's name say, and its place in the order of
// promotion; false where they say none.
func classOf(name string) (class Class, rank int, known bool) {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return strings.ContainsRune("-_. ", r)
	})
	words = slices.DeleteFunc(words, func(w string) bool { return strings.Trim(w, digits) == "" })
	for i, w := range words {
		short := strings.TrimRight(w, digits)
		if i+1 < len(words) && slices.Contains([]string{"pre", "non", "not", "no"}, w) &&
			(strings.HasPrefix(words[i+1], "prod") || words[i+1] == "live") {
			return Staging, len(classWords) - 2, true
		}
		if slices.Contains(otherWords, w) || slices.Contains(lastOnly, short) && i+1 < len(words) ||
			(short == "pr" || short == "mr") && i > 0 {
			continue
		}
		for r, c := range classWords {
			// The strictest of several words holds: prod-test is production.
			if c.class.order() >= class.order() && (says(c.words, w) || says(c.words, short)) {
				class, rank, known = c.class, r, true
			}
		}
	}
	return class, rank, known
}

const digits = "0123456789"

func says(words, word string) bool {
	return slices.ContainsFunc(strings.Fields(words), func(w string) bool {
		prefix, open := strings.CutSuffix(w, "*")
		return word == w || open && strings.HasPrefix(word, prefix)
	})
}

func (c Class) order() int { return slices.Index([]Class{"", Local, Staging, Production}, c) }

func isEnvironmentName(name string) bool {
	_, _, known := classOf(name)
	return known
}

// classify gives a class to the environments that have none, and returns a note about those that it had
// to guess. A name that says nothing is held to the contract of production, unless another one is
// production.
func classify(envs []Environment) []Note {
	production := ""
	for i := range envs {
		if envs[i].Class == "" {
			envs[i].Class, _, _ = classOf(envs[i].Name)
		}
		if envs[i].Class == Production && production == "" {
			production = envs[i].Name
		}
	}
	guess, why := Production, ""
	if production != "" {
		guess, why = Staging, ", and "+production+" is production"
	}
	var guessed []string
	for i := range envs {
		if envs[i].Class == "" {
			envs[i].Class = guess
			guessed = append(guessed, envs[i].Name)
		}
	}
	about := guessed
	if production != "" {
		about = append(slices.Clone(guessed), production)
	}
	switch len(guessed) {
	case 0:
		return nil
	case 1:
		return []Note{{Environments: about, Text: fmt.Sprintf(
			"environment %s is treated as %s: its name does not say its class%s", guessed[0], guess, why)}}
	}
	return []Note{{Environments: about, Text: fmt.Sprintf(
		"environments %s are treated as %s: their names do not say their class%s", words.And(guessed), guess, why)}}
}

// sortByPromotion sorts environments in the order of promotion: local, staging, production, and by name
// where that says no more.
func sortByPromotion(envs []Environment) {
	slices.SortStableFunc(envs, func(a, b Environment) int {
		_, i, _ := classOf(a.Name)
		_, j, _ := classOf(b.Name)
		return cmp.Or(a.Class.order()-b.Class.order(), i-j, strings.Compare(a.Name, b.Name))
	})
}
