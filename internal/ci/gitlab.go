package ci

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"slipway/internal/lazyregexp"
)

var notInSection = lazyregexp.New(`[^a-z0-9]+`)

func foldGitLab(w io.Writer, title string) (end func()) {
	if title == "" {
		return func() {}
	}
	id := notInSection().ReplaceAllString(strings.ToLower(title), "_") + "_" + strings.ToLower(rand.Text()[:6])
	title = strings.Map(visible, title)
	fmt.Fprintf(w, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", time.Now().Unix(), id, title)
	return func() { fmt.Fprintf(w, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), id) }
}

// visible drops the characters that control a terminal.
func visible(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}

var notInVariable = lazyregexp.New(`[^A-Z0-9]+`)

// setGitLab writes the file that SLIPWAY_DOTENV names, for artifacts:reports:dotenv. GitLab takes no value of
// several lines there, so those are left out.
func setGitLab(env Env, values Values) error {
	file := env("SLIPWAY_DOTENV")
	if file == "" {
		return nil
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if text := values[name]; !strings.ContainsAny(text, "\r\n") {
			variable := notInVariable().ReplaceAllString(strings.ToUpper(name), "_")
			fmt.Fprintf(&b, "SLIPWAY_%s=%s\n", variable, text)
		}
	}
	return appendFile(file, b.String())
}
