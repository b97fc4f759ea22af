package main

import (
	"slipway/internal/check"
	"slipway/internal/check/finding"
)

// The part of SARIF 2.1.0 that GitHub code scanning reads.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifInvocation struct {
		Successful    bool          `json:"executionSuccessful"`
		Notifications []sarifNotice `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotice struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifRule struct {
		ID            string    `json:"id"`
		Short         sarifText `json:"shortDescription"`
		Full          sarifText `json:"fullDescription"`
		Help          sarifText `json:"help"`
		Configuration struct {
			Level finding.Severity `json:"level"`
		} `json:"defaultConfiguration"`
		Tier sarifTier `json:"properties"`
	}
	sarifResult struct {
		RuleID    string           `json:"ruleId"`
		Level     finding.Severity `json:"level"`
		Message   sarifText        `json:"message"`
		Locations []sarifLocation  `json:"locations"`
		Tier      sarifTier        `json:"properties"`
	}
	sarifTier struct {
		Tier finding.Tier `json:"tier"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region *sarifRegion `json:"region,omitempty"`
		} `json:"physicalLocation"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
)

// sarifLevel is the level of a finding: our severities have the names of SARIF's levels, and hardening is a
// note there.
func sarifLevel(s finding.Severity, t finding.Tier) finding.Severity {
	if t == finding.Hardening {
		return "note"
	}
	return s
}

// sarifOf converts a report to SARIF, with every finding.
func sarifOf(r check.Report, rules []finding.Rule) sarif {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "slipway", Version: version, Rules: []sarifRule{}}
	for _, rule := range rules {
		s := sarifRule{ID: rule.ID, Short: sarifText{Text: rule.Title}, Full: sarifText{Text: rule.Why},
			Help: sarifText{Text: rule.Why + "\n\n" + rule.Fix, Markdown: rule.Why + "\n\n" + rule.Fix}}
		s.Tier.Tier = rule.TierOf(rule.Severity)
		s.Configuration.Level = sarifLevel(rule.Severity, s.Tier.Tier)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, s)
	}
	for _, f := range r.Findings {
		result := sarifResult{RuleID: f.Rule, Level: sarifLevel(f.Severity, f.Tier),
			Message: sarifText{Text: message(f)}, Locations: []sarifLocation{}, Tier: sarifTier{f.Tier}}
		if f.Fix != "" {
			result.Message.Text += "\nfix: " + f.Fix
		}
		if f.Place.File != "" {
			var l sarifLocation
			l.Physical.Artifact.URI = f.Place.File
			if f.Place.Line > 0 {
				l.Physical.Region = &sarifRegion{f.Place.Line, f.Place.Column}
			}
			result.Locations = append(result.Locations, l)
		}
		run.Results = append(run.Results, result)
	}
	done := sarifInvocation{Successful: true}
	for _, line := range uncheckedLines(r, true) {
		done.Notifications = append(done.Notifications, sarifNotice{"note", sarifText{Text: line}})
	}
	run.Invocations = []sarifInvocation{done}
	return sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}
