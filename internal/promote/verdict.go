package promote

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/words"
)

// Verdict is what an agent says about an environment at a commit, for those who cannot read its record. It is
// a line of a Git note about the commit.
type Verdict struct {
	Environment string `json:"environment"`
	Healthy     bool   `json:"healthy"`
	// Message is one sentence about it.
	Message string `json:"message,omitempty"`
	// Release is that which runs, with its images; they have been healthy since Since. An environment that is
	// not healthy has been so since then, where that is known.
	Release int         `json:"release,omitempty"`
	Images  []image.Pin `json:"images,omitempty"`
	Since   time.Time   `json:"since,omitzero"`
	// Time is when the agent looked.
	Time time.Time `json:"time"`
	// Signature is of all the other fields and the commit, by the agent's SSH key.
	Signature string `json:"signature,omitempty"`
}

const (
	// VerdictEvery is how often an agent publishes a verdict again that has not changed.
	VerdictEvery = time.Hour
	// maxVerdictAge is how old a verdict may be: an agent that has stopped says nothing more.
	maxVerdictAge = 2 * VerdictEvery
)

// payload is what is signed.
func (v Verdict) payload(commit string) ([]byte, error) {
	v.Signature = ""
	text, err := json.Marshal(v)
	return append([]byte("slipway verdict on "+commit+"\n"), text...), err
}

// Sign signs a verdict on a commit with a private key, in PEM.
func (v Verdict) Sign(commit string, key []byte) (Verdict, error) {
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return v, fmt.Errorf("sign a verdict: %w", err)
	}
	text, err := v.payload(commit)
	if err != nil {
		return v, err
	}
	signature, err := signer.Sign(rand.Reader, text)
	if err != nil {
		return v, fmt.Errorf("sign a verdict: %w", err)
	}
	v.Signature = base64.StdEncoding.EncodeToString(ssh.Marshal(signature))
	return v, nil
}

// verify returns an error where the owner of the key did not sign the verdict on this commit.
func (v Verdict) verify(commit, key string) error {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	if err != nil {
		return fmt.Errorf("read the key of verdicts: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(v.Signature)
	var signature ssh.Signature
	if err == nil {
		err = ssh.Unmarshal(raw, &signature)
	}
	if err != nil {
		return errors.New("it is not signed")
	}
	text, err := v.payload(commit)
	if err != nil {
		return err
	}
	return public.Verify(text, &signature)
}

// in returns a note with the verdict in place of that on the same environment. Other lines stay.
func (v Verdict) in(note string) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var lines []string
	for line := range strings.Lines(note) {
		other, ok := verdictOf(line)
		if line = strings.TrimSpace(line); line != "" && (!ok || other.Environment != v.Environment) {
			lines = append(lines, line)
		}
	}
	return strings.Join(append(lines, string(text)), "\n") + "\n", nil
}

func verdictOf(line string) (v Verdict, ok bool) {
	return v, json.Unmarshal([]byte(line), &v) == nil && v.Environment != ""
}

// Publish writes a verdict into the note about a commit, and pushes it. Where others push notes at the same
// time, it tries again.
func (v Verdict) Publish(ctx context.Context, r git.Repository, remote, commit string, by git.Person) error {
	for try := 1; ; try++ {
		if err := r.FetchNotes(ctx, remote); err != nil {
			return err
		}
		note, err := r.Note(ctx, commit)
		if err != nil {
			return err
		}
		if note, err = v.in(note); err != nil {
			return err
		}
		err = r.ChangeNote(ctx, remote, commit, note, by)
		if !errors.Is(err, git.ErrMoved) || try == maxPushes {
			return err
		}
	}
}

// proveByVerdict returns the images of the verdict that the agent of the gates' environment has published on
// the newest commit. It fails with a *shutError where that is not healthy, and where it does not prove so.
func proveByVerdict(ctx context.Context, g project.Gates, n Notes) (Proof, error) {
	commit := n.Commit
	note, err := n.Repository.Note(ctx, commit)
	if err != nil {
		return Proof{}, fmt.Errorf("promote from %s: %w", g.From, err)
	}
	var v Verdict
	for line := range strings.Lines(note) {
		if said, ok := verdictOf(line); ok && said.Environment == g.From {
			v = said
		}
	}
	if v.Environment == "" {
		return Proof{}, shut(time.Time{}, "the agent of %s has published no verdict on commit %s yet", g.From,
			git.Short(commit))
	}
	if err := v.verify(commit, g.Verdict); err != nil {
		return Proof{}, shut(time.Time{}, "the verdict of %s on commit %s does not have the signature of the key "+
			"in slipway.yaml: %v", g.From, git.Short(commit), err)
	}
	age := time.Since(v.Time)
	switch isUnnamed := func(pin image.Pin) bool { return pin.Digest == "" }; {
	case !v.Healthy:
		return Proof{}, shut(v.Since, "%s is not healthy: %s", g.From, v.Message)
	case age > maxVerdictAge:
		return Proof{}, shut(v.Time.Add(maxVerdictAge), "the verdict of %s is %s old: its agent has stopped",
			g.From, words.Duration(age.Truncate(time.Minute)))
	case len(v.Images) == 0 || slices.ContainsFunc(v.Images, isUnnamed):
		return Proof{}, shut(v.Since, "the verdict of %s does not say which digests it runs", g.From)
	}
	return Proof{
		Environment: g.From, Images: v.Images, Since: v.Since, Release: release.Release{Revision: v.Release},
	}, nil
}

// VerdictOn is what is said about an environment whose record is past, on the health of its newest release.
func VerdictOn(environment string, past release.Past, healthy bool, message string) Verdict {
	v := Verdict{
		Environment: environment, Healthy: healthy, Message: message, Release: past.Latest.Revision,
		Time: time.Now().UTC().Truncate(time.Second),
	}
	if healthy {
		v.Images, v.Since = past.Latest.Images, healthySince(past.Releases).UTC()
	}
	return v
}

// noted is a check that a line of a Git note reports.
type noted struct {
	Check string `json:"check"`
	// State is "passed", "failed" or "pending".
	State string    `json:"state"`
	Time  time.Time `json:"time,omitzero"`
}

// notedChecks are those that a note reports, the last line about each.
func notedChecks(note string) (all []forge.Check) {
	for line := range strings.Lines(note) {
		var n noted
		if json.Unmarshal([]byte(line), &n) != nil || n.Check == "" {
			continue
		}
		all = slices.DeleteFunc(all, func(c forge.Check) bool { return c.Name == n.Check })
		all = append(all, forge.Check{Name: n.Check, State: n.State, Said: n.State, Time: n.Time})
	}
	return all
}
