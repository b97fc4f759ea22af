// Package credential hands credentials to git without a shell and without other programs: git runs this
// binary as its askpass and as its SSH client, and finds them in the environment of its own processes.
// Nothing secret is in an argument.
package credential

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// helper is the environment variable that makes this binary a helper of git: "askpass" or "ssh". The others
// are what such a helper is given.
const (
	helper     = "SLIPWAY_GIT_HELPER"
	hostName   = "SLIPWAY_GIT_HOST"
	userName   = "SLIPWAY_GIT_USERNAME"
	password   = "SLIPWAY_GIT_PASSWORD"
	keyFile    = "SLIPWAY_GIT_KEY"
	knownHosts = "SLIPWAY_GIT_KNOWN_HOSTS"
)

// Password is the environment in which git gets a user name and a password for the host of a URL. program is
// the path of this binary.
func Password(program, address, user, secret string) []string {
	host := ""
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return []string{
		"GIT_ASKPASS=" + program, helper + "=askpass", hostName + "=" + host, userName + "=" + user,
		password + "=" + secret,
	}
}

// SSH is the environment in which git uses a private key, for servers whose keys a known_hosts file names.
func SSH(program, key, hosts string) []string {
	return []string{
		"GIT_SSH=" + program, "GIT_SSH_VARIANT=ssh", helper + "=ssh", keyFile + "=" + key,
		knownHosts + "=" + hosts,
	}
}

// Main does the work of a helper where git runs this process as one. It returns the exit code, and false
// where this process is none.
func Main(args []string, in io.Reader, out, stderr io.Writer) (code int, is bool) {
	var err error
	switch os.Getenv(helper) {
	case "":
		return 0, false
	case "askpass":
		err = answer(strings.Join(args, " "), out)
	case "ssh":
		code, err = connect(args, in, out, stderr)
	default:
		err = fmt.Errorf("unknown helper %q", os.Getenv(helper))
	}
	if err != nil {
		fmt.Fprintf(stderr, "slipway: %v\n", err)
		code = max(code, 1)
	}
	return code, true
}

// answer answers a prompt of git, such as "Password for 'https://ada@example.com': ". It answers for one host
// alone: a redirect must not get the credentials.
func answer(prompt string, out io.Writer) error {
	what, rest, _ := strings.Cut(prompt, " for '")
	address, _, _ := strings.Cut(rest, "'")
	u, err := url.Parse(address)
	if err != nil || !strings.EqualFold(u.Host, os.Getenv(hostName)) {
		return fmt.Errorf("the server asks for credentials for %q, but none are configured", address)
	}
	value := os.Getenv(password)
	if what == "Username" {
		value = os.Getenv(userName)
	}
	_, err = fmt.Fprintln(out, value)
	return err
}
