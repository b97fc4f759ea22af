// Package signer verifies who has signed a commit: with an SSH key that an allowed-signers file names, or
// with an OpenPGP key of a keyring. It runs no program.
package signer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

var (
	// ErrUnsigned says that a commit has no signature.
	ErrUnsigned = errors.New("it is not signed")
	// ErrForeign says that none of the permitted signers has signed a commit.
	ErrForeign = errors.New("it is signed by somebody else")
	// ErrForged says that a signature is not of this commit.
	ErrForged = errors.New("the signature is not of this commit")
)

// Trusted are the files with those who may sign. They are read at each use.
type Trusted struct {
	// AllowedSigners is in the format of ssh-keygen's ALLOWED SIGNERS. OpenPGP is an armored keyring.
	AllowedSigners string
	OpenPGP        string
}

// Verify returns who has signed a commit, which is given as Git stores it, at the time of its committer.
func (t Trusted) Verify(commit string) (who string, err error) {
	payload, signature := split(commit)
	switch {
	case signature == "":
		return "", ErrUnsigned
	case strings.HasPrefix(signature, "-----BEGIN SSH SIGNATURE-----"):
		return t.verifySSH(payload, signature)
	case strings.HasPrefix(signature, "-----BEGIN PGP"):
		return t.verifyOpenPGP(payload, signature)
	}
	return "", fmt.Errorf("%w: neither an SSH nor an OpenPGP signature", ErrForeign)
}

// split takes the signature out of a commit's headers.
func split(commit string) (payload, signature string) {
	head, message, _ := strings.Cut(commit, "\n\n")
	var kept, sign []string
	in := ""
	for _, line := range strings.Split(head, "\n") {
		if !strings.HasPrefix(line, " ") {
			in, _, _ = strings.Cut(line, " ")
			line = strings.TrimPrefix(line, "gpgsig ")
		} else if in == "gpgsig" {
			line = line[1:]
		}
		switch in {
		case "gpgsig":
			sign = append(sign, line)
		case "gpgsig-sha256":
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n") + "\n\n" + message, strings.Join(sign, "\n")
}

func (t Trusted) verifySSH(payload, signature string) (string, error) {
	s, err := sshsig.Unarmor([]byte(signature))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForged, err)
	}
	key := s.PublicKey.Type() + " " + ssh.FingerprintSHA256(s.PublicKey)
	if err := sshsig.Verify(strings.NewReader(payload), s, s.PublicKey, s.HashAlgorithm, "git"); err != nil {
		return "", fmt.Errorf("%w (%s): %w", ErrForged, key, err)
	}
	if t.AllowedSigners == "" {
		return "", fmt.Errorf("%w, with %s", ErrForeign, key)
	}
	text, err := os.ReadFile(t.AllowedSigners)
	if err != nil {
		return "", fmt.Errorf("read the allowed signers: %w", err)
	}
	all, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("read the allowed signers: %s: %w", t.AllowedSigners, err)
	}
	at := committed(payload)
	for _, a := range all {
		if who := a.signer(s.PublicKey, at); who != "" {
			return fmt.Sprintf("%s (%s)", who, key), nil
		}
	}
	return "", fmt.Errorf("%w, with %s", ErrForeign, key)
}

// committed is the time in the committer's header.
func committed(payload string) time.Time {
	for line := range strings.Lines(payload) {
		if !strings.HasPrefix(line, "committer ") {
			continue
		}
		var seconds int64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, '>')+1:], &seconds); err == nil {
			return time.Unix(seconds, 0)
		}
	}
	return time.Time{}
}

func (t Trusted) verifyOpenPGP(payload, signature string) (string, error) {
	if t.OpenPGP == "" {
		return "", fmt.Errorf("%w, with an OpenPGP key", ErrForeign)
	}
	text, err := os.ReadFile(t.OpenPGP)
	if err != nil {
		return "", fmt.Errorf("read the OpenPGP keys: %w", err)
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		return "", fmt.Errorf("read the OpenPGP keys: %s: %w", t.OpenPGP, err)
	}
	by, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader(payload),
		strings.NewReader(signature), nil)
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "", fmt.Errorf("%w, with an OpenPGP key that %s does not have", ErrForeign, t.OpenPGP)
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrForged, err)
	}
	name := "?"
	if id := by.PrimaryIdentity(); id != nil {
		name = id.Name
	}
	return fmt.Sprintf("%s (OpenPGP %X)", name, by.PrimaryKey.Fingerprint), nil
}
