package main

import (
	"slipway/internal/deploy"
	"slipway/internal/image/builder"
	"slipway/internal/image/signature"
)

// buildRows explain errors of builds and signatures.
var buildRows = []row{
	as("platform", codeError, always[*builder.PlatformError]("Use a base image that exists for this "+
		"platform, or remove the platform from images[].platforms.")),
	is("no runtime", builder.ErrNoRuntime, codeError, "Install runc (Debian: `apt-get install runc`, and "+
		"uidmap for users other than root), or start Docker or buildkitd."),
	as("push", codeError, always[*builder.PushError](
		"Run the same command again: it sends only the missing parts. Nothing was tagged.")),
	as("build secret", codeError, always[*builder.SecretError](
		"Set it, or correct images[].secrets and images[].ssh in slipway.yaml. Nothing was built.")),
	as("disk full", codeError, always[*builder.FullError]("Free some space, delete that directory, or set "+
		"XDG_CACHE_HOME to a larger file system. Nothing was tagged.")),
	as("attestation", codeError, always[*builder.AttestationError]("Name another builder with BUILDKIT_HOST, "+
		"or leave images[].sbom and images[].provenance out of slipway.yaml.")),
	as("base image", codeError, always[*builder.BaseError]("Check its name, and that this machine can reach "+
		"its registry and read from it (`docker login`). Nothing was pushed.")),
	as("build", codeError, func(e *builder.BuildError) string {
		const hint = "Correct that step. Nothing was pushed."
		if e.LacksFile() {
			return hint + " Files come from images[].context, without those that .dockerignore excludes."
		}
		return hint
	}),
	as("no builder", codeError, always[*builder.NoBuilderError](
		"Set BUILDKIT_HOST to a BuildKit that runs elsewhere.")),
	as("builder unreachable", codeError, always[*builder.UnreachableError]("Start it, or unset the variable "+
		"that names it to use Docker, a local buildkitd or the built-in engine.")),

	as("signing key", codeError, always[*signature.KeyError]("Pass a PEM file, or a variable as env://NAME. "+
		"Set COSIGN_PASSWORD to the password of an encrypted key.")),
	as("no trusted root", codeError, always[*signature.TrustError]("Pass --trusted-root, or set trustedRoot in "+
		"slipway.yaml, where the public Sigstore root cannot be fetched.")),
	as("no signature", codeError, always[*signature.ServiceError]("Run the same command again to sign the "+
		"image: it is already pushed. Or pass --key, which needs no signing service.")),
	is("no token", signature.ErrNoToken, codeUsage,
		"Pass --key, or set `permissions: id-token: write` in GitHub Actions."),
	as("not bundled", codeError, func(e *deploy.NotBundledError) string { return e.Do }),
	as("unsigned", codeError, always[*signature.UnsignedError]("Run `slipway build ENV --sign` to sign it, or "+
		"trust its signer with `signatures` in slipway.yaml or --key.")),
}
