package deploy

import "context"

// ProposePrepared plans what a test has prepared itself.
func ProposePrepared(ctx context.Context, t Target, p Prepared) (Proposal, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return Proposal{}, err
	}
	return propose(ctx, t, p, past, look{})
}
