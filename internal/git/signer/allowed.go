package signer

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// allowed is a line of an allowed-signers file.
type allowed struct {
	who string
	key ssh.PublicKey
	// isAuthority: the key signs certificates, and commits by their keys alone.
	isAuthority   bool
	after, before time.Time // zero: no limit
}

// signer returns who has signed with a key at a time, as far as this line says; empty: the line does not.
func (a allowed) signer(key ssh.PublicKey, at time.Time) string {
	if !a.after.IsZero() && at.Before(a.after) || !a.before.IsZero() && at.After(a.before) {
		return ""
	}
	if !a.isAuthority {
		if bytes.Equal(a.key.Marshal(), key.Marshal()) {
			return a.who
		}
		return ""
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.UserCert || !bytes.Equal(cert.SignatureKey.Marshal(), a.key.Marshal()) {
		return ""
	}
	// A certificate without principals is valid for all of them: ssh-keygen does not accept it here.
	checker := ssh.CertChecker{Clock: func() time.Time { return at }}
	for _, principal := range cert.ValidPrincipals {
		if matches(a.who, principal) && checker.CheckCert(principal, cert) == nil {
			return principal
		}
	}
	return ""
}

// matches reports whether a pattern list of OpenSSH contains a name: patterns with * and ?, separated by
// commas. One that begins with "!" excludes the names that it matches.
func matches(list, name string) bool {
	// path.Match has the same * and ?, where nothing else is special and no slash is in the name.
	literal := strings.NewReplacer("/", "\x00", `\`, `\\`, "[", `\[`)
	is := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, excludes := strings.CutPrefix(pattern, "!")
		ok, err := path.Match(literal.Replace(pattern), strings.ReplaceAll(name, "/", "\x00"))
		if ok && err == nil {
			if excludes {
				return false
			}
			is = true
		}
	}
	return is
}

// parse reads an allowed-signers file. A line for other namespaces is left out; an option that is not known
// is an error.
func parse(text []byte) ([]allowed, error) {
	var all []allowed
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		who, rest, _ := strings.Cut(line, " ")
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		a, isForGit := allowed{who: strings.Trim(who, `"`), key: key}, true
		for _, o := range options {
			name, value, _ := strings.Cut(o, "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "cert-authority":
				a.isAuthority = true
			case "namespaces":
				isForGit = matches(value, "git")
			case "valid-after":
				a.after, err = moment(value)
			case "valid-before":
				a.before, err = moment(value)
			default:
				err = fmt.Errorf("unknown option %q", name)
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
		}
		if isForGit {
			all = append(all, a)
		}
	}
	return all, nil
}

// moment reads YYYYMMDD[HHMM[SS]][Z].
func moment(text string) (time.Time, error) {
	in := time.Local
	if cut, isUTC := strings.CutSuffix(text, "Z"); isUTC {
		text, in = cut, time.UTC
	}
	const layout = "20060102150405"
	if len(text) != 8 && len(text) != 12 && len(text) != 14 {
		return time.Time{}, fmt.Errorf("want a time such as 20270131, not %q", text)
	}
	return time.ParseInLocation(layout[:len(text)], text, in)
}
