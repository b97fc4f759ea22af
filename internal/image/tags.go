package image

import "context"

// Tags lists the tags of a repository, in the order of its registry. It fails with a *NotFoundError where the
// registry does not have the repository.
func Tags(ctx context.Context, repository string, o Options) ([]string, error) {
	s := o.store()
	at, err := locate(repository, s.mirror)
	if err != nil {
		return nil, err
	}
	tags, err := s.puller.List(ctx, at)
	switch {
	case notFound(err):
		return nil, &NotFoundError{Reference: repository}
	case err != nil:
		return nil, explain(repository, at, err)
	}
	return tags, nil
}
