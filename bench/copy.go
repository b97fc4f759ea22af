package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
)

const (
	crane      = "crane"
	imageBytes = 500 << 20
	layers     = 5
	// copyTarget: at least as fast as the peer.
	copyTarget = 1.0
)

// registry is one on loopback, as the sandbox has it.
type registry struct {
	host, dir string
	stop      func()
}

func (b *bench) registry(what string) registry {
	dir := filepath.Join(b.temp, what)
	store := olareg.New(config.Config{
		Log:     slog.New(slog.DiscardHandler),
		Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: dir},
	})
	server := httptest.NewServer(store)
	return registry{
		host: strings.TrimPrefix(server.URL, "http://"), dir: dir,
		stop: func() {
			server.Close()
			_ = store.Close() // it misses the index of each repository that was only asked for a mount
		},
	}
}

// copies measures copying an image between two registries, of which the second has nothing of it.
func (b *bench) copies(t *table, small bool) error {
	from := b.registry("from")
	defer from.stop()
	image := from.host + "/image:v1"
	digest, err := fill(image)
	if err != nil {
		return err
	}
	rounds := 7
	if small {
		rounds = 3
	}
	programs := [][]string{{b.peers[crane], "copy"}, {b.slipway, "image", "copy"}}
	costs := make([]samples, len(programs))
	for i := range rounds * len(programs) {
		which := (i + i/len(programs)) % len(programs) // who begins takes turns
		c, err := b.copied(append(slices.Clone(programs[which]), image), digest)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(programs[which][0]), err)
		}
		costs[which] = append(costs[which], c)
	}
	t.copied(costs[0], costs[1])
	return nil
}

// copied runs one program, with an empty registry to copy to as its last argument.
func (b *bench) copied(program []string, digest v1.Hash) (c cost, err error) {
	to := b.registry("to")
	defer func() { to.stop(); err = errors.Join(err, os.RemoveAll(to.dir)) }()
	at := to.host + "/copied:v1"
	if c, err = b.run(b.temp, filepath.Join(b.temp, "copied"), b.home, append(program, at)...); err != nil {
		return c, err
	}
	return c, arrived(at, digest)
}

// fill pushes an image whose layers do not compress.
func fill(at string) (v1.Hash, error) {
	ref, err := name.ParseReference(at)
	if err != nil {
		return v1.Hash{}, err
	}
	var img v1.Image = empty.Image
	for i := range layers {
		n := noise(i)
		if img, err = mutate.AppendLayers(img, n); err != nil {
			return v1.Hash{}, err
		}
	}
	if err := remote.Write(ref, img); err != nil {
		return v1.Hash{}, err
	}
	return img.Digest()
}

// noise is a layer that does not compress and is never in memory: a child's peak is not less than that of
// this process.
type noise byte

func (n noise) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(rand.NewChaCha8([32]byte{byte(n)}), imageBytes/layers)), nil
}
func (n noise) Uncompressed() (io.ReadCloser, error) { return n.Compressed() }
func (n noise) Size() (int64, error)                 { return imageBytes / layers, nil }
func (n noise) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (n noise) DiffID() (v1.Hash, error)             { return n.Digest() }
func (n noise) Digest() (v1.Hash, error) {
	r, err := n.Compressed()
	if err != nil {
		return v1.Hash{}, err
	}
	h, _, err := v1.SHA256(r)
	return h, err
}

// arrived demands that the copy is whole.
func arrived(at string, digest v1.Hash) error {
	ref, err := name.ParseReference(at)
	if err != nil {
		return err
	}
	img, err := remote.Image(ref)
	if err != nil {
		return err
	}
	if got, err := img.Digest(); err != nil || got != digest {
		return fmt.Errorf("%s is %s, not %s (%w)", at, got, digest, err)
	}
	all, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range all {
		blob, err := l.Compressed()
		if err != nil {
			return err
		}
		// Reading it to its end compares it with its digest.
		if _, err := io.Copy(io.Discard, blob); err != nil {
			return errors.Join(err, blob.Close())
		}
		if err := blob.Close(); err != nil {
			return err
		}
	}
	return nil
}

// copied prints the rows. What else the machine does only ever adds to wall time: the best runs are
// nearest to the truth.
func (t *table) copied(peer, ours samples) {
	fmt.Fprintf(t.w, "\n%-32s %-14s %16s %16s %9s  %s\n", "", "", crane, "slipway", "ratio", "target")
	title := fmt.Sprintf("copy %d MB", imageBytes>>20)
	theirs, mine := peer.wall(), ours.wall()
	ratio := mine[0].Seconds() / theirs[0].Seconds()
	both := func(d []time.Duration) string {
		return fmt.Sprintf("%.2f, %.2f s", d[0].Seconds(), d[len(d)/2].Seconds())
	}
	t.row(title, "wall", both(theirs), both(mine), times(ratio), "≤ "+times(copyTarget), ratio <= copyTarget)
	cpu := ours.cpu().Seconds() / peer.cpu().Seconds()
	t.row("", "CPU", seconds(peer), seconds(ours), times(cpu), "≤ "+times(copyTarget), cpu <= copyTarget)
	t.note("copy: wall is the best run and the median; both registries run in the process of the benchmark, on the same machine")
	t.note("copy: peak memory %s with crane, %s with slipway, whatever it does", mebibytes(peer.rss()), mebibytes(ours.rss()))
}

// wall are the times on the clock, the shortest first.
func (s samples) wall() []time.Duration {
	all := make([]time.Duration, len(s))
	for i, c := range s {
		all[i] = c.wall
	}
	slices.Sort(all)
	return all
}
