package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// spdxPackage is a package of an SPDX 2.3 document.
type spdxPackage struct {
	Name             string    `json:"name"`
	ID               string    `json:"SPDXID"`
	Version          string    `json:"versionInfo"`
	DownloadLocation string    `json:"downloadLocation"`
	FilesAnalyzed    bool      `json:"filesAnalyzed"`
	ExternalRefs     []spdxRef `json:"externalRefs,omitempty"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelation struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// billOfMaterials lists the modules that the linker has put into the programs, as SPDX 2.3.
func billOfMaterials(name, version string, programs []file) ([]byte, error) {
	var packages []spdxPackage
	var relations []spdxRelation
	add := func(p spdxPackage, from, how string) {
		if !slices.ContainsFunc(packages, func(o spdxPackage) bool { return o.ID == p.ID }) {
			packages = append(packages, p)
		}
		relations = append(relations, spdxRelation{from, how, p.ID})
	}
	for _, program := range programs {
		base := strings.TrimSuffix(program.name, ".exe")
		id := "SPDXRef-" + base
		add(spdxPackage{Name: base, ID: id, Version: version, DownloadLocation: "NOASSERTION"}, "SPDXRef-DOCUMENT",
			"DESCRIBES")
		info, err := buildinfo.Read(bytes.NewReader(program.text))
		if err != nil {
			return nil, fmt.Errorf("modules of %s: %w", program.name, err)
		}
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add(spdxPackage{Name: m.Path, ID: "SPDXRef-" + spdxID(m.Path+"-"+m.Version), Version: m.Version,
				DownloadLocation: "NOASSERTION", ExternalRefs: []spdxRef{{"PACKAGE-MANAGER", "purl",
					"pkg:golang/" + m.Path + "@" + m.Version}}}, id, "DEPENDS_ON")
		}
	}
	return json.MarshalIndent(map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
		"documentNamespace": fmt.Sprintf("https://slipway.dev/spdx/%s-%x", name, sumOf(programs)),
		"creationInfo": map[string]any{"created": epoch.Format("2006-01-02T15:04:05Z"),
			"creators": []string{"Tool: slipway-release"}},
		"packages": packages, "relationships": relations,
	}, "", " ")
}

func sumOf(programs []file) []byte {
	h := sha256.New()
	for _, p := range programs {
		h.Write(p.text)
	}
	return h.Sum(nil)[:8]
}

// spdxID replaces what an identifier may not have.
func spdxID(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, text)
}

// homepage is the page of the repository, where releases are published on a forge.
func homepage(o options) string {
	return strings.TrimSuffix(strings.TrimSuffix(o.url, "/"), "/releases/download")
}

// archiveOf is the file name of a platform's archive.
func archiveOf(o options, system, arch string) string {
	suffix := ".tar.gz"
	if system == "windows" {
		suffix = ".zip"
	}
	return target{os: system, arch: arch}.name(o.version) + suffix
}

// formula is the Homebrew formula of the version.
func formula(o options, sums map[string]string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "class Slipway < Formula\n  desc %q\n  homepage %q\n  version %q\n  license \"Apache-2.0\"\n", summary,
		homepage(o), strings.TrimPrefix(o.version, "v"))
	for _, system := range []struct{ block, os string }{{"on_macos", "darwin"}, {"on_linux", "linux"}} {
		fmt.Fprintf(b, "\n  %s do\n", system.block)
		for _, cpu := range []struct{ block, arch string }{{"on_arm", "arm64"}, {"on_intel", "amd64"}} {
			name := archiveOf(o, system.os, cpu.arch)
			if sums[name] == "" {
				continue
			}
			fmt.Fprintf(b, "    %s do\n      url \"%s/%s/%s\"\n      sha256 %q\n    end\n", cpu.block, o.url,
				o.version, name,
				sums[name])
		}
		b.WriteString("  end\n")
	}
	b.WriteString(`
  def install
    bin.install "slipway"
    bin.install "slipway-sandbox" if OS.linux?
    bash_completion.install "completions/slipway.bash" => "slipway"
    zsh_completion.install "completions/_slipway"
    fish_completion.install "completions/slipway.fish"
    man1.install Dir["man/man1/*.1"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/slipway version")
  end
end
`)
	return b.String()
}

// plugin is the manifest of the version for krew, with which kubectl runs the program as "kubectl slipway".
func plugin(o options, sums map[string]string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "apiVersion: krew.googlecontainertools.github.com/v1alpha2\nkind: Plugin\nmetadata:\n  name: slipway\n"+
		"spec:\n  version: %s\n  homepage: %s\n  shortDescription: %s\n  platforms:\n", o.version, homepage(o),
		summary)
	for _, p := range o.platforms {
		system, arch, _ := strings.Cut(p, "/")
		name := archiveOf(o, system, arch)
		program, dir := "slipway", target{os: system, arch: arch}.name(o.version)
		if system == "windows" {
			program += ".exe"
		}
		fmt.Fprintf(b, "    - selector:\n        matchLabels: {os: %s, arch: %s}\n      uri: %s/%s/%s\n      sha256: %s\n"+
			"      bin: %s\n      files:\n        - {from: %s/%[7]s, to: .}\n        - {from: %[8]s/LICENSE, to: .}\n",
			system, arch, o.url, o.version, name, sums[name], program, dir)
	}
	return b.String()
}

// sign returns the base64 of an ECDSA or RSA signature over the text's SHA-256, as `cosign verify-blob --key`
// and `openssl dgst -sha256 -verify` take it.
func sign(name string, password, text []byte) (string, error) {
	key, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return "", errors.New("it is not in PEM")
	}
	der := block.Bytes
	if strings.HasPrefix(block.Type, "ENCRYPTED ") {
		if der, err = encrypted.Decrypt(der, password); err != nil {
			return "", fmt.Errorf("$COSIGN_PASSWORD does not decrypt it: %w", err)
		}
	}
	var private any
	if private, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if private, err = x509.ParseECPrivateKey(der); err != nil {
			return "", err
		}
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return "", fmt.Errorf("%T cannot sign", private)
	}
	digest := sha256.Sum256(text)
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	return base64.StdEncoding.EncodeToString(signature) + "\n", err
}
