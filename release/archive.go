package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/rpmpack"
)

// epoch is the time of all files, so that the same input gives the same archive.
var epoch = time.Unix(0, 0).UTC()

// tarOf packs files into a directory of a compressed tar archive.
func tarOf(dir string, files []file) ([]byte, error) {
	var under []file
	for _, f := range files {
		f.name = path.Join(dir, f.name)
		under = append(under, f)
	}
	return compressed(under)
}

// compressed is a compressed tar archive of the files and their directories, in the order of their names.
func compressed(files []file) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	var err error
	w := tar.NewWriter(z)
	made := map[string]bool{".": true}
	files = sorted(files)
	for _, f := range files {
		for _, dir := range parents(f.name) {
			if made[dir] {
				continue
			}
			made[dir] = true
			err = errors.Join(err, w.WriteHeader(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755,
				ModTime: epoch, Format: tar.FormatUSTAR}))
		}
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: f.mode,
			Size: int64(len(f.text)), ModTime: epoch, Format: tar.FormatUSTAR}))
		_, failed := w.Write(f.text)
		err = errors.Join(err, failed)
	}
	err = errors.Join(err, w.Close(), z.Close())
	return b.Bytes(), err
}

// parents are the directories above a path, the outermost first.
func parents(name string) []string {
	var all []string
	for i, c := range name {
		if c == '/' && i > 0 {
			all = append(all, name[:i])
		}
	}
	return all
}

// sorted returns the files by name, so that the same ones always give the same archive.
func sorted(files []file) []file {
	byName := func(a, b file) int { return strings.Compare(a.name, b.name) }
	return slices.SortedFunc(slices.Values(files), byName)
}

// firstDay is the first time that a zip archive can state. Without one its files are of month 0 of 1980.
var firstDay = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

func zipOf(dir string, files []file) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	var err error
	for _, f := range sorted(files) {
		part, failed := w.CreateHeader(&zip.FileHeader{
			Name: path.Join(dir, f.name), Method: zip.Deflate, Modified: firstDay,
		})
		if failed != nil {
			return nil, failed
		}
		_, failed = part.Write(f.text)
		err = errors.Join(err, failed)
	}
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

const summary = "The bridge from a laptop cluster to production"

// debOf makes a Debian package: an ar archive of a version, a control archive and a data archive.
func debOf(version, arch string, files []file) ([]byte, error) {
	size := 0
	var sums strings.Builder
	for _, f := range files {
		size += len(f.text)
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.text), f.name)
	}
	control := fmt.Sprintf("Package: slipway\nVersion: %s\nArchitecture: %s\nMaintainer: The Slipway authors\n"+
		"Installed-Size: %d\nRecommends: git\nSection: admin\nPriority: optional\nDescription: %s\n",
		strings.TrimPrefix(version, "v"), arch, (size+1023)/1024, summary)
	controls, err := compressed([]file{{"control", 0o644, []byte(control)}, {"md5sums", 0o644,
		[]byte(sums.String())}})
	if err != nil {
		return nil, err
	}
	data, err := compressed(files)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, part := range []file{
		{"debian-binary", 0o100644, []byte("2.0\n")}, {"control.tar.gz", 0o100644, controls},
		{"data.tar.gz", 0o100644, data},
	} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", part.name, 0, 0, 0, part.mode, len(part.text))
		b.Write(part.text)
		if len(part.text)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// rpmArch are the names of architectures in RPM.
var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

func rpmOf(version, arch string, files []file) ([]byte, error) {
	number, release, pre := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	if !pre {
		release = "1"
	} else {
		release = "0." + strings.ReplaceAll(release, "-", "_") // before the release itself
	}
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: "slipway", Version: number, Release: release, Arch: rpmArch[arch], OS: "linux", Licence: "Apache-2.0",
		Summary: summary, Description: summary, Compressor: "gzip:6", BuildTime: epoch, BuildHost: "localhost",
	})
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		r.AddFile(rpmpack.RPMFile{Name: "/" + rpmPlaces.Replace(f.name), Body: f.text, Mode: uint(f.mode), Owner: "root",
			Group: "root"})
	}
	var b bytes.Buffer
	err = r.Write(&b)
	return b.Bytes(), err
}
