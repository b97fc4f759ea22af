package metadata

import (
	"strconv"
	"strings"

	"slipway/internal/lazyregexp"
)

// semver is the expression of semver.org, with the "v" that node-semver allows.
var semver = lazyregexp.New(
	`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// parseSemver returns the fields for a pattern, and whether the version is a release.
func parseSemver(text string) (f map[string]string, release, ok bool) {
	m := semver().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || len(text) > 256 {
		return nil, false, false
	}
	for _, n := range m[1:4] {
		// The largest number that JavaScript represents exactly.
		if v, err := strconv.ParseInt(n, 10, 64); err != nil || v > 1<<53-1 {
			return nil, false, false
		}
	}
	f = map[string]string{"raw": text, "major": m[1], "minor": m[2], "patch": m[3],
		"prerelease": strings.ReplaceAll(m[4], ".", ","), "build": strings.ReplaceAll(m[5], ".", ",")}
	f["version"] = m[1] + "." + m[2] + "." + m[3]
	if m[4] != "" {
		f["version"] += "-" + m[4]
	}
	return f, m[4] == "", true
}

// pep440 is the expression of PEP 440, appendix B.
var pep440 = lazyregexp.New(`(?i)^\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

var preWord = map[string]string{"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

// parsePep440 returns the fields for a pattern, and whether the version is a release.
func parsePep440(text string) (f map[string]string, release, ok bool) {
	m := pep440().FindStringSubmatch(text)
	if m == nil {
		return nil, false, false
	}
	numbers := strings.Split(m[2], ".")
	for i := range numbers {
		numbers[i] = plain(numbers[i])
	}
	clean := strings.Join(numbers, ".")
	if epoch := plain(m[1]); epoch != "0" {
		clean = epoch + "!" + clean
	}
	if word := strings.ToLower(m[3]); word != "" {
		if short, ok := preWord[word]; ok {
			word = short
		}
		clean += word + plain(m[4])
	}
	post := m[5] != "" || m[6] != ""
	if post {
		clean += ".post" + plain(m[5]+m[7])
	}
	if m[8] != "" {
		clean += ".dev" + plain(m[9])
	}
	if m[10] != "" {
		parts := strings.FieldsFunc(strings.ToLower(m[10]), func(r rune) bool {
			return r == '-' || r == '_' || r == '.'
		})
		for i, p := range parts {
			if strings.Trim(p, "0123456789") == "" {
				parts[i] = plain(p)
			}
		}
		clean += "+" + strings.Join(parts, ",") // the library that the action uses joins them so
	}
	numbers = append(numbers, "0", "0")
	return map[string]string{"raw": text, "version": clean, "major": numbers[0], "minor": numbers[1],
			"patch": numbers[2]},
		m[3] == "" && !post && m[8] == "", true
}

// plain removes leading zeros. An empty number is 0.
func plain(digits string) string {
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return digits
}
