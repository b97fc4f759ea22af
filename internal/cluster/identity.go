package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway/internal/object"
)

// Identity is a user as the API server knows it.
type Identity struct {
	User   string
	Groups []string
}

// ErrNoIdentity says that a user without a name was to act.
var ErrNoIdentity = errors.New("act as a user: the name is empty")

// ErrToken says that the API server does not accept a bearer token.
var ErrToken = errors.New("the API server does not accept the token")

// accountPrefix begins the name of a ServiceAccount as a user.
const accountPrefix = "system:serviceaccount:"

// memberships are the groups that the API server adds to those of a user by itself.
func (i Identity) memberships() []string {
	groups := append(slices.Clone(i.Groups), "system:authenticated")
	if rest, ok := strings.CutPrefix(i.User, accountPrefix); ok {
		namespace, _, _ := strings.Cut(rest, ":")
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return groups
}

// As returns the cluster as another user, whom the user of this one impersonates. It sends nothing over the
// network, and fails with ErrNoIdentity where the name is empty: the API server would let the request act as
// the user itself.
func (c *Cluster) As(id Identity) (*Cluster, error) {
	if strings.TrimSpace(id.User) == "" {
		return nil, ErrNoIdentity
	}
	l, err := c.impersonate(rest.ImpersonationConfig{UserName: id.User, Groups: id.Groups})
	if err != nil {
		return nil, err
	}
	other, as := *c, *l
	as.served = c.served // all users are told the same kinds
	other.link, other.account, other.user = &as, nil, id.User
	return &other, nil
}

// ReviewToken returns whose bearer token it is. It fails with ErrToken where the API server does not accept
// it, and with ErrNoIdentity where the token has no user name.
func ReviewToken(ctx context.Context, c *Cluster, token string) (Identity, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := c.typed.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return Identity{}, c.Explain(ctx, "review a token by", object.Ref{Kind: "TokenReview"}, err)
	case !answer.Status.Authenticated:
		return Identity{}, ErrToken
	case strings.TrimSpace(answer.Status.User.Username) == "":
		return Identity{}, ErrNoIdentity
	}
	return Identity{User: answer.Status.User.Username, Groups: answer.Status.User.Groups}, nil
}

// May asks whether another user has a permission. It fails with ErrNoIdentity where the name is empty.
func May(ctx context.Context, c *Cluster, id Identity, p Permission) (bool, error) {
	if strings.TrimSpace(id.User) == "" {
		return false, ErrNoIdentity
	}
	resource, sub, _ := strings.Cut(p.Resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: id.User, Groups: id.memberships(),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: p.Verb, Group: p.Group, Resource: resource, Subresource: sub, Namespace: p.Namespace,
		},
	}}
	answer, err := c.AsUser().typed.AuthorizationV1().SubjectAccessReviews().Create(ctx, review,
		metav1.CreateOptions{})
	if err != nil {
		return false, c.Explain(ctx, fmt.Sprintf("ask what %s may do in", id.User),
			object.Ref{Kind: "Namespace", Name: p.Namespace}, err)
	}
	return answer.Status.Allowed, nil
}
