package credential

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// dialTime is how long a connection may take to be made.
const dialTime = 15 * time.Second

// connect is an SSH client, as far as git needs one: [-o OPTION] [-p PORT] [USER@]HOST COMMAND.
func connect(args []string, in io.Reader, out, stderr io.Writer) (int, error) {
	port := "22"
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-p":
			port = args[1]
		case "-o": // the protocol's version, which the command works without
		case "-4", "-6":
			args = append([]string{""}, args...)
		default:
			return 1, fmt.Errorf("ssh: unknown option %q", args[0])
		}
		args = args[2:]
	}
	if len(args) != 2 {
		return 1, fmt.Errorf("ssh: want a host and a command, not %q", args)
	}
	user, host, found := strings.Cut(args[0], "@")
	if !found {
		user, host = "git", args[0]
	}
	address := net.JoinHostPort(strings.Trim(host, "[]"), port)
	client, err := dial(user, address)
	if err != nil {
		return 1, err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return 1, fmt.Errorf("ssh: %s: %w", address, err)
	}
	defer session.Close()
	session.Stdin, session.Stdout, session.Stderr = in, out, stderr
	err = session.Run(args[1])
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return exit.ExitStatus(), nil
	}
	return 0, err
}

// dial connects to a server whose key is known.
func dial(user, address string) (*ssh.Client, error) {
	text, err := os.ReadFile(os.Getenv(keyFile))
	if err != nil {
		return nil, fmt.Errorf("read the SSH key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the SSH key %s: %w", os.Getenv(keyFile), err)
	}
	isKnown, err := knownhosts.New(os.Getenv(knownHosts))
	if err != nil {
		return nil, fmt.Errorf("read the known hosts: %w", err)
	}
	return ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: dialTime,
		HostKeyAlgorithms: algorithms(isKnown, address),
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			return explain(address, key, isKnown(name, remote, key))
		},
	})
}

// explain says what is wrong with a server's key.
func explain(address string, key ssh.PublicKey, err error) error {
	var wrong *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	print := key.Type() + " " + ssh.FingerprintSHA256(key)
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("the host key of %s (%s) is revoked", address, print)
	case errors.As(err, &wrong) && len(wrong.Want) == 0:
		return fmt.Errorf("the host key of %s (%s) is not in the known_hosts file", address, print)
	case errors.As(err, &wrong):
		return fmt.Errorf("the host key of %s has changed to %s: the known_hosts file has %s", address, print,
			ssh.FingerprintSHA256(wrong.Want[0].Key))
	}
	return err
}

// algorithms are those of the known keys of a server: it must not offer another one that is not known.
func algorithms(isKnown ssh.HostKeyCallback, address string) []string {
	var wrong *knownhosts.KeyError
	if !errors.As(isKnown(address, &net.TCPAddr{}, noKey{}), &wrong) {
		return nil
	}
	var all []string
	for _, w := range wrong.Want {
		if w.Key.Type() == ssh.KeyAlgoRSA {
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			all = append(all, w.Key.Type())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// noKey is a key that no server has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
