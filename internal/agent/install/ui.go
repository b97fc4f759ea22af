package install

import (
	"fmt"
	"strings"

	"slipway/internal/agent"
)

// addUI adds what the web UI needs: to ask who sends a token and what a person may do, and to act as the
// person. The groups are named: with any group the agent would be a cluster administrator.
func (r *rules) addUI(u agent.UI) {
	ask, impersonate := []string{"create"}, []string{"impersonate"}
	all := []rule{{"authorization.k8s.io", "subjectaccessreviews", nil, ask}, {"", "users", nil, impersonate}}
	who := "any user"
	if u.Tokens == agent.Allow {
		all = append(all, rule{"authentication.k8s.io", "tokenreviews", nil, ask},
			rule{"", "serviceaccounts", nil, impersonate})
		who += " and ServiceAccount"
	}
	if len(u.Groups) > 0 {
		all = append(all, rule{"", "groups", u.Groups, impersonate})
		who += ", and as the groups " + strings.Join(u.Groups, ", ")
	}
	r.in[""] = append(r.in[""], all...)
	r.note(fmt.Sprintf("the agent needs ClusterRole %s for the web UI: it may act as %s, and so may those who "+
		"can run commands in its pods", r.clusterName(), who))
}
