package agent

import (
	"context"
	"fmt"

	"slipway/internal/git"
	"slipway/internal/git/signer"
)

// Signers are the files with those who may sign commits. The agent deploys no commit of anybody else, and
// no later one that contains it.
type Signers struct {
	// AllowedSigners is in the format of ssh-keygen's ALLOWED SIGNERS. OpenPGP is an armored keyring.
	AllowedSigners string `yaml:"allowedSigners"`
	OpenPGP        string `yaml:"openpgp"`
}

// verify returns who has signed a commit, where signatures are required. It verifies all commits that came
// after one that was verified before; where that one is not known, the newest alone.
func (m *mirror) verify(ctx context.Context, commit, before string) (who string, err error) {
	if m.remote.registry != nil {
		m.remote.mu.Lock()
		defer m.remote.mu.Unlock()
		return m.remote.registry.signer(commit)
	}
	if m.Signers == nil {
		return "", nil
	}
	err = m.remote.use(ctx, func(clone *git.Mirror) (err error) {
		who, err = verifyIn(ctx, clone, signer.Trusted(*m.Signers), commit, before)
		return err
	})
	return who, err
}

// verifyIn is verify, in a clone.
func verifyIn(
	ctx context.Context, in *git.Mirror, trusted signer.Trusted, commit, before string,
) (who string, err error) {
	commits := []string{commit}
	if before != "" && before != commit && in.Has(ctx, before) {
		list, err := in.Log(ctx, before, commit)
		if err != nil {
			return "", err
		}
		for _, c := range list {
			if c.Hash != commit {
				commits = append(commits, c.Hash)
			}
		}
	}
	for i := len(commits) - 1; i >= 0; i-- { // the newest last: who signed that one is of interest
		raw, err := in.Raw(ctx, commits[i])
		if err != nil {
			return "", err
		}
		if who, err = trusted.Verify(raw); err != nil {
			return "", fmt.Errorf("commit %s is not trusted: %w", short(commits[i]), err)
		}
	}
	return who, nil
}
