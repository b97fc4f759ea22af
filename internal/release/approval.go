package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/internal/cluster"
)

// Approval is a person's consent that some images are promoted to an environment.
type Approval struct {
	// Images identifies them.
	Images string `json:"images"`
	// Who is the user as the API server of the environment knows them.
	Who    string    `json:"who"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
}

// maxApprovals is how many are kept: the newest.
const maxApprovals = 50

// approvalLabel marks the Secret with the approvals of an environment. It has no label of a record.
const approvalLabel = "slipway.dev/approvals"

func (s Store) approvalName() string { return s.lockName() + ".approvals" }

// Approvals returns those that are recorded, the oldest first.
func (s Store) Approvals(ctx context.Context) ([]Approval, error) {
	secret, err := cluster.ReadSecret(ctx, s.Cluster, s.approvalName())
	if err != nil || secret == nil {
		return nil, err
	}
	return approvalsOf(secret.Data[summaryKey])
}

func approvalsOf(data []byte) (all []Approval, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read the approvals: %w", err)
	}
	return all, nil
}

// Approve records an approval by the user of the cluster's credentials, once for each user. It tries again
// when another client was faster.
func (s Store) Approve(ctx context.Context, images, reason string) (Approval, error) {
	who := cluster.Username(ctx, s.Cluster)
	if who == "" {
		return Approval{}, errors.New("approve: the API server does not say who the user is")
	}
	a := Approval{Images: images, Who: who, Time: time.Now().UTC().Truncate(time.Second), Reason: reason}
	for {
		secret, err := cluster.ReadSecret(ctx, s.Cluster, s.approvalName())
		if err != nil {
			return a, err
		}
		if secret == nil {
			secret = secretOf(s.approvalName(), map[string]string{approvalLabel: "true"}, map[string][]byte{})
		}
		all, err := approvalsOf(secret.Data[summaryKey])
		if err != nil {
			return a, err
		}
		all = slices.DeleteFunc(all, func(o Approval) bool { return o.Images == images && o.Who == who })
		all = append(all, a)
		text, err := json.Marshal(all[max(0, len(all)-maxApprovals):])
		if err != nil {
			return a, err
		}
		secret.Data = map[string][]byte{summaryKey: text}
		if _, err = cluster.WriteSecret(ctx, s.Cluster, secret); !errors.Is(err, cluster.ErrChanged) {
			return a, err
		}
	}
}
