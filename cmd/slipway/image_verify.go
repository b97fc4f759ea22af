package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/image"
	"slipway/internal/image/signature"
	"slipway/internal/project"
)

func newImageVerifyCommand(a *app) *cobra.Command {
	var d project.Signature
	cmd := &cobra.Command{
		Use: "verify REF", Short: "Verify that a trusted key or identity signed an image",
		Args: named("REF"),
		Long: `Looks in the image's repository for a cosign 3 signature (a Sigstore bundle) by the given
key or identity, and prints the image by digest and the signer. Attestations do not count as signatures.
Signatures in the formats of older cosign versions are not read.`,
	}
	f := cmd.Flags()
	f.StringVar(&d.Key, "key", "", "public key of the signer: FILE or env://NAME")
	f.StringVar(&d.Identity, "identity", "",
		"identity of the signer, such as the URL of a workflow; * matches any text")
	f.StringVar(&d.Issuer, "issuer", "",
		"with --identity: the issuer of the identity, such as https://token.actions.githubusercontent.com")
	f.StringVar(&d.TrustedRoot, "trusted-root", "",
		"with --identity: `FILE` with the certificates and logs to trust (default the public Sigstore's)")
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if d.Key == "" == (d.Identity == "" || d.Issuer == "") {
			return &usageError{errors.New("pass either --key, or --identity and --issuer")}
		}
		return runImageVerify(c.Context(), a, args[0], d, *out)
	}
	return cmd
}

func runImageVerify(ctx context.Context, a *app, ref string, d project.Signature, out format) error {
	read := func(name string) ([]byte, error) { return signature.ReadNamed(name, os.LookupEnv) }
	by, err := signature.Authorities([]project.Signature{d}, read)
	if err != nil {
		return err
	}
	o, err := registryOptions(a)
	if err != nil {
		return err
	}
	verified, err := image.Verify(ctx, ref, by, o)
	if err != nil {
		return err
	}
	if out == asJSON {
		return a.json(verified)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is signed by %s\n", verified.Image, verified.SignedBy)
	return err
}
