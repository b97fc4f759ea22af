package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// once is the result that tests read.
var once = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "slipway-release-test-") })

// shared returns a directory with a release that no test changes.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := once()
	if err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err == nil && len(files) == 0 {
		made(t, dir)
	}
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := once(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// made publishes two platforms, with the test's own binary in place of slipway.
func made(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	o := options{version: "v0.1.0", out: dir, url: "https://example.com/acme/slipway/releases/download",
		platforms: []string{"linux/amd64", "windows/amd64"}}
	pages, err := manualPages("../docs/cli", o.version)
	if err != nil {
		t.Fatal(err)
	}
	extra := append(pages, file{"LICENSE", 0o644, []byte("text\n")},
		file{"completions/slipway.bash", 0o644, []byte("# bash\n")}, file{"completions/_slipway", 0o644, nil},
		file{"completions/slipway.ps1", 0o644, nil},
		file{"examples/a/b.yaml", 0o644, []byte("a: b\n")})
	for _, p := range []target{{"linux", "amd64", []file{{"slipway", 0o755, program}}},
		{"windows", "amd64", []file{{"slipway.exe", 0o755, program}}}} {
		if err := publish(o, p, extra); err != nil {
			t.Fatal(err)
		}
	}
	if err := finish(o, strings.Repeat("c0ffee00", 5)); err != nil {
		t.Fatal(err)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first, second := shared(t), t.TempDir()
	made(t, second)
	names, err := filepath.Glob(filepath.Join(first, "*"))
	if err != nil || len(names) != 10 {
		t.Fatalf("%d files, want 10: %v: %v", len(names), names, err)
	}
	for _, name := range names {
		a, b := read(t, name), read(t, filepath.Join(second, filepath.Base(name)))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two runs", filepath.Base(name))
		}
	}
}

func TestArchiveHasEverything(t *testing.T) {
	dir := shared(t)
	z, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(dir, "slipway_0.1.0_linux_amd64.tar.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o", h.Name, h.Mode))
	}
	list := "\n" + strings.Join(names, "\n") + "\n"
	for _, want := range []string{"slipway 755", "LICENSE 644", "man/man1/slipway-deploy.1 644",
		"man/man1/slipway.1 644",
		"completions/slipway.ps1 644", "examples/a/b.yaml 644"} {
		if !strings.Contains(list, "\nslipway_0.1.0_linux_amd64/"+want+"\n") {
			t.Errorf("the archive lacks %s:%s", want, list)
		}
	}
}

// Each file is in the list of checksums, and the formula and the plugin have those of the archives.
func TestChecksums(t *testing.T) {
	dir := shared(t)
	list := string(read(t, filepath.Join(dir, "checksums.txt")))
	for _, name := range []string{"slipway_0.1.0_linux_amd64.tar.gz", "slipway_0.1.0_linux_amd64.deb",
		"slipway_0.1.0_linux_amd64.rpm", "slipway_0.1.0_linux_amd64.spdx.json", "slipway_0.1.0_windows_amd64.zip"} {
		sum := fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(dir, name))))
		if !strings.Contains(list, sum+"  "+name+"\n") {
			t.Errorf("checksums.txt lacks %s", name)
		}
		if strings.HasSuffix(name, "linux_amd64.tar.gz") {
			if !strings.Contains(string(read(t, filepath.Join(dir, "slipway.rb"))), `sha256 "`+sum+`"`) {
				t.Error("the formula has another checksum")
			}
			if !strings.Contains(string(read(t, filepath.Join(dir, "slipway.yaml"))), "sha256: "+sum) {
				t.Error("the plugin has another checksum")
			}
		}
	}
	for name, want := range map[string]string{
		"slipway.rb":   "\n  homepage \"https://example.com/acme/slipway\"\n",
		"slipway.yaml": "\n  homepage: https://example.com/acme/slipway\n",
		// The names of directories are in the header, which is not compressed.
		"slipway_0.1.0_linux_amd64.rpm": "/usr/share/zsh/site-functions/\x00",
	} {
		if !bytes.Contains(read(t, filepath.Join(dir, name)), []byte(want)) {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

func TestBillOfMaterials(t *testing.T) {
	var doc struct {
		Packages []struct{ Name, VersionInfo string }
	}
	text := read(t, filepath.Join(shared(t), "slipway_0.1.0_linux_amd64.spdx.json"))
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range doc.Packages {
		found = found || p.Name == "github.com/google/rpmpack" && strings.HasPrefix(p.VersionInfo, "v")
	}
	if !found {
		t.Errorf("no package of a dependency: %s", text)
	}
}

func TestDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("only Debian's dpkg-deb says whether a package is one, and it is missing here")
	}
	dir := shared(t)
	deb := filepath.Join(dir, "slipway_0.1.0_linux_amd64.deb")
	root := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	for _, name := range []string{"usr/bin/slipway", "usr/share/man/man1/slipway-deploy.1",
		"usr/share/bash-completion/completions/slipway", "usr/share/zsh/vendor-completions/_slipway", "usr/share/doc/slipway/copyright"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.Command("dpkg-deb", "-f", deb, "Version").Output(); string(out) != "0.1.0\n" {
		t.Errorf("version %q: %v", out, err)
	}
}

// The steps of the GitHub action and of the GitLab component install what the checksum names, and nothing
// else.
func TestInstall(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("an installed program is run, and this test has made an archive for linux/amd64 alone")
	}
	dir := shared(t)
	mux := http.NewServeMux()
	mux.Handle("/v0.1.0/", http.StripPrefix("/v0.1.0/", http.FileServer(http.Dir(dir))))
	server := httptest.NewServer(mux)
	defer server.Close()
	sum := fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(dir, "slipway_0.1.0_linux_amd64.tar.gz"))))
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	action := between(t, filepath.Join(root, "action.yml"), "      run: |\n", "    - name: check")
	component := strings.ReplaceAll(between(t, filepath.Join(root, "templates", "slipway.yml"), "  script:\n",
		"    - slipway check"), "    - ", "")
	for name, script := range map[string]string{
		"action": action, "component": component + "test -x \"$(command -v slipway)\"\n",
	} {
		for _, sha := range []string{sum, strings.Repeat("0", 64)} {
			temp := t.TempDir()
			cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temp, "RUNNER_TEMP=" + temp,
				"GITHUB_ACTION_PATH=" + root, "GITHUB_PATH=" + filepath.Join(temp, "path"),
				"URL=" + server.URL, "VERSION=v0.1.0", "SHA256=" + sha,
				"SLIPWAY_URL=" + server.URL, "SLIPWAY_VERSION=v0.1.0", "SLIPWAY_SHA256=" + sha}
			out, err := cmd.CombinedOutput()
			if (err == nil) != (sha == sum) {
				t.Errorf("%s with checksum %s: %v\n%s", name, sha, err, out)
			}
			programs, _ := filepath.Glob(filepath.Join(temp, "*", "slipway"))
			more, _ := filepath.Glob(filepath.Join(temp, "*", "*", "slipway"))
			if installed := len(programs)+len(more) > 0; installed != (sha == sum) {
				t.Errorf("%s with checksum %s: installed %v", name, sha, installed)
			}
		}
	}
}

// between returns the lines of a file from after one text to before another.
func between(t *testing.T, name, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(string(read(t, name)), from)
	text, _, closed := strings.Cut(rest, to)
	if !found || !closed {
		t.Fatalf("%s lacks %q or %q", name, from, to)
	}
	return text
}

// The provenance names each file by its checksum, is in the list of checksums, and its signature is one of
// DSSE. The commands of SECURITY.md verify all of that, and refuse an archive that was changed.
func TestProvenance(t *testing.T) {
	private, name := privateKey(t)
	dir := t.TempDir()
	t.Setenv("COSIGN_PASSWORD", "password")
	made(t, dir)
	if err := os.Remove(filepath.Join(dir, "slipway_0.1.0_provenance.json")); err != nil { // it is signed here
		t.Fatal(err)
	}
	sums := map[string]string{"slipway_0.1.0_linux_amd64.tar.gz": ""}
	for file := range sums {
		sums[file] = fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(dir, file))))
	}
	if err := finish(options{version: "v0.1.0", out: dir, key: name, platforms: []string{"linux/amd64"}},
		strings.Repeat("c0ffee00", 5)); err != nil {
		t.Fatal(err)
	}
	var signed struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	text := read(t, filepath.Join(dir, "slipway_0.1.0_provenance.intoto.jsonl"))
	if err := json.Unmarshal(text, &signed); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(signed.Payload),
		signed.Payload))
	if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signed.Signatures[0].Sig) {
		t.Error("the signature of the provenance is not valid")
	}
	var statement struct {
		Subject       []subject
		PredicateType string
	}
	if err := json.Unmarshal(signed.Payload, &statement); err != nil {
		t.Fatal(err)
	}
	has := func(s subject) bool { return sums[s.Name] != "" && s.Digest["sha256"] == sums[s.Name] }
	if statement.PredicateType != "https://slsa.dev/provenance/v1" ||
		!slices.ContainsFunc(statement.Subject, has) {
		t.Errorf("the provenance lacks the archive: %s", signed.Payload)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pub := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	if err := os.WriteFile(filepath.Join(dir, "cosign.pub"), pub, 0o600); err != nil {
		t.Fatal(err)
	}
	block := between(t, "../SECURITY.md", "## Verify a release", "\n## ")
	var typed []string
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			typed = append(typed, strings.TrimSpace(command))
		}
	}
	verify := func() ([]byte, error) {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.Join(typed, "\n"))
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if out, err := verify(); err != nil || len(typed) < 3 || !strings.Contains(string(out), "Verified OK") {
		t.Fatalf("%q: %v\n%s", typed, err, out)
	}
	archive := filepath.Join(dir, "slipway_0.1.0_linux_amd64.tar.gz")
	if err := os.WriteFile(archive, append(read(t, archive), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err == nil {
		t.Errorf("a changed archive was not refused:\n%s", out)
	}
}

// privateKey is a key as cosign encrypts it, with the password "password", and its file.
func privateKey(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := encrypted.Encrypt(der, []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "cosign.key")
	block := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: secret})
	if err := os.WriteFile(name, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return private, name
}

func TestSign(t *testing.T) {
	private, name := privateKey(t)
	text := []byte("checksums\n")
	signature, err := sign(name, []byte("password"), text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signature))
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(text); !ecdsa.VerifyASN1(&private.PublicKey, digest[:], raw) {
		t.Error("the signature is not valid")
	}
	if _, err := sign(name, []byte("other"), text); err == nil || !strings.Contains(err.Error(),
		"COSIGN_PASSWORD") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestManual(t *testing.T) {
	page := string(manual("slipway-plan", "v1.0.0",
		"<!-- Generated -->\n\n# slipway plan\n\nShow it.\n\n```\n.hidden\n-o x\n```\n"))
	want := ".TH SLIPWAY-PLAN 1 \"\" \"slipway v1.0.0\"\n" +
		".SH NAME\nslipway\\-plan \\- Show it\n.SH DESCRIPTION\n.PP\n.nf\n\\&.hidden\n\\-o x\n.fi\n"
	if page != want {
		t.Errorf("got %q\nwant %q", page, want)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
