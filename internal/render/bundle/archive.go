package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// The media types of a bundle in a registry: of the whole, and of its one layer, which is what Pack returns.
const (
	ArtifactType = "application/vnd.slipway.environment.v1"
	LayerType    = "application/vnd.slipway.environment.v1.tar+gzip"
)

// The limits of an archive. The first two are those of a commit's manifests, too.
const (
	maxFile  = 8 << 20
	maxBytes = 256 << 20
	maxFiles = 20_000
	// MaxArchive is how large an archive may be, compressed.
	MaxArchive = 64 << 20
)

// ArchiveError says that an archive is not one that Pack writes.
type ArchiveError struct{ Err error }

func (e *ArchiveError) Error() string { return fmt.Sprintf("read the archive: %v", e.Err) }
func (e *ArchiveError) Unwrap() error { return e.Err }

// Pack returns the archive of a bundle: a compressed tar, the same bytes for the same bundle.
func Pack(b Bundle) ([]byte, error) {
	text, err := b.describe()
	if err != nil {
		return nil, err
	}
	files := maps.Clone(b.Files)
	files[descriptionFile] = text
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	total := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if reason := badName(name); reason != "" {
			return nil, fmt.Errorf("%q: %s", name, reason)
		}
		if total += len(files[name]); len(files[name]) > maxFile || total > maxBytes || len(files) > maxFiles {
			return nil, fmt.Errorf("%s: an archive has at most %d files of %d MiB each, and %d MiB", name, maxFiles,
				maxFile>>20, maxBytes>>20)
		}
		err = errors.Join(err, archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644, Format: tar.FormatPAX,
		}))
		_, failed := archive.Write(files[name])
		err = errors.Join(err, failed)
	}
	if err := errors.Join(err, archive.Close(), compressed.Close()); err != nil {
		return nil, err
	}
	if out.Len() > MaxArchive {
		return nil, fmt.Errorf("the archive has %d MiB: the limit is %d MiB", out.Len()>>20, MaxArchive>>20)
	}
	return out.Bytes(), nil
}

// Unpack reads an archive. It fails with an *ArchiveError for everything that Pack does not write: links,
// names that lead out of the archive or that it has twice, files over the limits.
func Unpack(r io.Reader) (Bundle, error) {
	b, err := unpack(r)
	if err != nil {
		return Bundle{}, &ArchiveError{err}
	}
	return b, nil
}

func unpack(r io.Reader) (Bundle, error) {
	compressed, err := gzip.NewReader(r)
	if err != nil {
		return Bundle{}, err
	}
	limited := &io.LimitedReader{R: compressed, N: maxBytes + maxFiles*1024}
	archive, files, total := tar.NewReader(limited), map[string][]byte{}, int64(0)
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && limited.N > 0:
			return read(files)
		case limited.N <= 0:
			return Bundle{}, fmt.Errorf("more than %d MiB when it is decompressed", maxBytes>>20)
		case err != nil:
			return Bundle{}, err
		}
		switch reason := badName(h.Name); {
		case reason != "":
			return Bundle{}, fmt.Errorf("%q: %s", h.Name, reason)
		case h.Typeflag != tar.TypeReg:
			return Bundle{}, fmt.Errorf("%q: not a regular file", h.Name)
		case files[h.Name] != nil:
			return Bundle{}, fmt.Errorf("%q: twice in the archive", h.Name)
		case h.Size > maxFile:
			return Bundle{}, fmt.Errorf("%q: larger than %d MiB", h.Name, maxFile>>20)
		case len(files) == maxFiles:
			return Bundle{}, fmt.Errorf("more than %d files", maxFiles)
		}
		if total += h.Size; total > maxBytes {
			return Bundle{}, fmt.Errorf("more than %d MiB when it is decompressed", maxBytes>>20)
		}
		text := make([]byte, h.Size)
		if _, err := io.ReadFull(archive, text); err != nil {
			return Bundle{}, fmt.Errorf("%q: %w", h.Name, err)
		}
		files[h.Name] = text
	}
}

func read(files map[string][]byte) (Bundle, error) {
	text, ok := files[descriptionFile]
	if !ok {
		return Bundle{}, fmt.Errorf("%s is missing", descriptionFile)
	}
	b, err := parse(text)
	delete(files, descriptionFile)
	b.Files = files
	return b, err
}

// badName says why a path cannot be that of a file of an archive; empty: it can.
func badName(name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, "\\\x00") || len(name) > 1024:
		return "not a path"
	case path.IsAbs(name) || name == ".." || strings.HasPrefix(path.Clean(name), "../"):
		return "leads out of the archive"
	case path.Clean(name) != name || name == ".":
		return "not a clean path"
	}
	return ""
}
