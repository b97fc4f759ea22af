package main

import (
	"fmt"
	"io"
	"strings"

	"slipway/internal/check"
	"slipway/internal/check/finding"
)

// explainRules prints the table of all rules, or the pages of those that are named.
func explainRules(w io.Writer, dir string, ids []string) error {
	rules, err := check.RulesIn(dir)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return ruleTable(w, rules)
	}
	for i, id := range ids {
		found, err := check.FindRule(rules, id)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		rulePage(w, found)
	}
	return nil
}

func ruleTable(w io.Writer, rules []finding.Rule) error {
	s := styleOf(w)
	t := table{paint: func(_, column int, cell string) string {
		if column == 1 && cell == string(finding.Error) {
			return s.red(cell)
		}
		return cell
	}}
	for _, group := range finding.Groups {
		for _, r := range rules {
			if r.Group == group {
				t.add(r.ID, string(r.Severity), string(r.TierOf(r.Severity)), group, classes(r), r.Title)
			}
		}
	}
	return t.print(w)
}

func rulePage(w io.Writer, r finding.Rule) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s\n%s, %s, %s, %s\n\n%s.\n\n%s\n", s.bold(r.ID), r.Severity, r.TierOf(r.Severity),
		r.Group, classes(r), upperFirst(strings.TrimSuffix(r.Title, ".")), strings.TrimSpace(r.Why))
	if r.Fix != "" {
		fmt.Fprintf(w, "\n%s\n%s\n", s.bold("Fix"), strings.TrimSpace(r.Fix))
	}
	fmt.Fprintf(w, "\n%s\nexceptions:\n  - {rule: %s, object: KIND/NAME, reason: why this is accepted}\n",
		s.bold("To accept it"), r.ID)
}

// upperFirst starts a text with a capital letter.
func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func classes(r finding.Rule) string {
	if len(r.Classes) == 0 {
		return "everywhere"
	}
	names := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		names[i] = string(c)
	}
	return list(names)
}
