package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"slipway/internal/ci"
	"slipway/internal/lazyregexp"
)

const askTimeout = 10 * time.Second

var versionPage = lazyregexp.New(`/(v\d+\.\d+\.\d+[^/]*)$`)

// Newest is the newest version of Slipway that is published below a URL, such as
// https://HOST/OWNER/REPOSITORY/releases/download. It asks the forge, whose page of the latest
// release redirects to that of the newest tag.
func Newest(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	page := strings.TrimSuffix(url, "/download") + "/latest"
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, page, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	answer.Body.Close()
	m := versionPage().FindStringSubmatch(answer.Header.Get("Location"))
	if m == nil {
		return "", fmt.Errorf("%s does not lead to a version (%s)", page, answer.Status)
	}
	return m[1], nil
}

// published is the archive of a version for linux/amd64, with the checksum that its release states. All
// versions are published below the URL.
func published(ctx context.Context, url, version string) (ci.Download, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list := url + "/" + version + "/checksums.txt"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, list, nil)
	if err != nil {
		return ci.Download{}, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return ci.Download{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return ci.Download{}, fmt.Errorf("GET %s: %s", list, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return ci.Download{}, err
	}
	name := "slipway_" + strings.TrimPrefix(version, "v") + "_linux_amd64.tar.gz"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == name && isSHA256(f[0]) {
			return ci.Download{URL: url + "/" + version + "/" + name, SHA256: f[0]}, nil
		}
	}
	return ci.Download{}, fmt.Errorf("%s lacks %s", list, name)
}

func isSHA256(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == sha256.Size
}
