package deploy

import "encoding/json"

// ID identifies what a proposal would do, and to which objects: a person consents to it, and another proposal
// with the same ID does exactly that. It contains no value of a Secret.
func (p Proposal) ID() string {
	plan := p.Plan
	plan.Commit = "" // two commits with the same content make the same plan
	text, err := json.Marshal(struct {
		Plan     any
		Objects  map[string]string
		Release  int
		Rollback int
	}{plan, p.namedUIDs(), p.Latest.Revision, p.Prepared.RollbackOf})
	if err != nil {
		return ""
	}
	return digestOf(text)
}

func (p Proposal) namedUIDs() map[string]string {
	names := make(map[string]string, len(p.uids))
	for ref, uid := range p.uids {
		names[ref.Group+" "+ref.String()] = uid
	}
	return names
}
