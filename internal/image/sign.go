package image

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/image/signature"
)

// Resolve returns a reference with its digest. It fails with a *NotFoundError where the registry does not
// have it.
func Resolve(ctx context.Context, ref string, o Options) (Pin, error) {
	p, err := parseImage(ref)
	if err != nil {
		return p, err
	}
	p.Digest, err = o.store().find(ctx, p.Repository, p)
	if err == nil && p.Digest == "" {
		err = &NotFoundError{Reference: ref}
	}
	return p, err
}

// Verified is an image, and who signed it.
type Verified struct {
	Image    string `json:"image"` // with its digest
	Digest   string `json:"digest"`
	SignedBy string `json:"signedBy"`
}

// Verify resolves a reference, and says who of some authorities signed the image. It fails with a
// *NotFoundError or an *UnsignedError.
func Verify(ctx context.Context, ref string, by []signature.Authority, o Options) (Verified, error) {
	pin, err := Resolve(ctx, ref, o)
	if err != nil {
		return Verified{}, err
	}
	who, err := Signed(ctx, pin, nil, by, o)
	return Verified{Image: pin.Reference(), Digest: pin.Digest, SignedBy: who}, err
}

// Sign signs a pin's content, unless the same key has signed it already.
func Sign(ctx context.Context, p Pin, by *signature.Signer, o Options) error {
	img, err := o.store().signable(ctx, p, p.Repository)
	if err != nil {
		return err
	}
	signed, err := by.Sign(ctx, img)
	if service := (*signature.ServiceError)(nil); err != nil && !errors.As(err, &service) {
		err = explain(p.Repository, img.Digest.Context(), err)
	}
	if err != nil {
		return fmt.Errorf("sign %s: %w", p.Reference(), err)
	}
	if signed {
		o.notify("signed %s", p.Reference())
	} else {
		o.notify("found the signature of %s", p.Reference())
	}
	return nil
}

// signable is a pin's content in a repository, for package signature.
func (s store) signable(ctx context.Context, p Pin, repository string) (signature.Image, error) {
	r, err := locate(repository, s.mirror)
	return signature.Image{Digest: r.Digest(p.Digest), Options: s.options(ctx)}, err
}

// Signed returns which of the authorities has signed a pin's content, or fails with an *UnsignedError. It
// looks for signatures in the pin's own repository and in others: a signature is about content, not about its
// place.
func Signed(ctx context.Context, p Pin, others []string, by []signature.Authority,
	o Options) (who string, err error) {
	s := o.store()
	unsigned := &signature.UnsignedError{Image: p.Reference()}
	for _, a := range by {
		unsigned.By = append(unsigned.By, a.Name)
	}
	if p.Digest == "" {
		unsigned.Found = []string{"it does not exist yet"}
		return "", unsigned
	}
	for i, repository := range append([]string{p.Repository}, others...) {
		if i > 0 && repository == p.Repository {
			continue
		}
		img, err := s.signable(ctx, p, repository)
		if err != nil {
			return "", err
		}
		who, found, err := signature.Find(ctx, img, by)
		switch {
		case err != nil && (i == 0 || ctx.Err() != nil):
			return "", fmt.Errorf("signatures of %s: %w", p.Reference(),
				explain(repository, img.Digest.Context(), err))
		case err != nil: // signatures in other repositories are optional
			found = []string{fmt.Sprintf("%s: %v", repository, err)}
		case who != "":
			return who, nil
		}
		unsigned.Found = append(unsigned.Found, found...)
	}
	return "", unsigned
}
