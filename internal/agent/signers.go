package agent

import (
	"context"
	"fmt"

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
	m.remote.mu.Lock()
	defer m.remote.mu.Unlock()
	if err := m.remote.open(ctx); err != nil {
		return "", err
	}
	commits := []string{commit}
	if before != "" && before != commit && m.remote.mirror.Has(ctx, before) {
		list, err := m.remote.mirror.Log(ctx, before, commit)
		if err != nil {
			return "", err
		}
		for _, c := range list {
			if c.Hash != commit {
				commits = append(commits, c.Hash)
			}
		}
	}
	trusted := signer.Trusted(*m.Signers)
	for i := len(commits) - 1; i >= 0; i-- { // the newest last: who signed that one is of interest
		raw, err := m.remote.mirror.Raw(ctx, commits[i])
		if err != nil {
			return "", err
		}
		if who, err = trusted.Verify(raw); err != nil {
			return "", fmt.Errorf("commit %s is not trusted: %w", short(commits[i]), err)
		}
	}
	return who, nil
}
