// Package sops decrypts files that SOPS has encrypted, in memory, with the user's age and PGP keys. It starts
// no program and does not use the network.
//
// It does not use the SOPS library, which would bring the clients of five clouds (docs/decisions.md).
package sops

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/render/tree"
)

// Decrypt decrypts an encrypted file and returns any other file unchanged. Every encrypted value is among the
// secrets.
func Decrypt(name string, text []byte) (tree.Text, error) {
	as := tree.Text{Bytes: text}
	if !bytes.Contains(text, []byte("sops")) || !bytes.Contains(text, []byte("ENC[AES256_GCM,")) {
		return as, nil
	}
	form := formOf(name, text)
	docs, meta, err := load(form, text)
	if err != nil || meta == nil || meta.MAC == "" {
		return as, nil // it only mentions SOPS
	}
	key, err := meta.dataKey(name)
	if err != nil {
		return tree.Text{}, err
	}
	f := file{key: key, mac: sha512.New()}
	if meta.EncryptedOnly {
		f.mac.Write(encryptedOnly)
		f.mayOmit = true
	}
	for _, d := range docs {
		if err := f.open(d, ""); err != nil {
			return tree.Text{}, fmt.Errorf("%s: decrypt: %w", name, err)
		}
	}
	mac, _, err := f.value(meta.MAC, meta.LastModified)
	if err != nil || mac != fmt.Sprintf("%X", f.mac.Sum(nil)) {
		return tree.Text{}, fmt.Errorf(
			"%s: decrypt: the file was modified after SOPS encrypted it: its MAC does not match", name)
	}
	if as.Bytes, err = emit(form, docs); err != nil {
		return tree.Text{}, fmt.Errorf("%s: decrypt: %w", name, err)
	}
	as.Secrets = f.secrets
	return as, nil
}

// encryptedOnly begins the MAC of a file that protects its encrypted values alone (SHA-256 of "sops").
var encryptedOnly = []byte(
	"\x8a\x3f\xd2\xad\x54\xce\x66\x52\x7b\x10\x34\xf3\xd1\x47\xbe\x0b" +
		"\x0b\x97\x5b\x3b\xf4\x4f\x72\xc6\xfd\xad\xec\x81\x76\xf2\x7d\x69")

// file is the state of decrypting one file.
type file struct {
	key     []byte
	mac     hash.Hash
	mayOmit bool // values that are not encrypted are not in the MAC
	secrets []string
}

// open decrypts a node in place. It recognizes encrypted values by their form, not by the file's own rules: a
// replaced value fails the MAC in any case.
func (f *file) open(n *yaml.Node, path string) error {
	switch n.Kind {
	case yaml.AliasNode:
		return fmt.Errorf("line %d: unexpected alias: SOPS does not write aliases", n.Line)
	case yaml.ScalarNode:
		return f.scalar(n, path)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			uncomment(k)
			if err := f.open(n.Content[i+1], path+k.Value+":"); err != nil {
				return err
			}
		}
	default:
		for _, item := range n.Content {
			if err := f.open(item, path); err != nil {
				return err
			}
		}
		n.Content = slices.DeleteFunc(n.Content, (*yaml.Node).IsZero)
	}
	uncomment(n)
	return nil
}

func (f *file) scalar(n *yaml.Node, path string) error {
	defer uncomment(n)
	if n.ShortTag() == "!!str" && strings.HasPrefix(n.Value, "ENC[") {
		plain, kind, err := f.value(n.Value, path)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(path, ":"), err)
		}
		if kind == "comment" { // at the end of a list SOPS takes it for an item
			*n = yaml.Node{}
			return nil
		}
		v, err := typed(plain, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(path, ":"), err)
		}
		if kind == "str" || kind == "bytes" || len(plain) > 5 { // to hide every "true" and port would hide all else
			f.secrets = append(f.secrets, plain)
		}
		f.mac.Write([]byte(said(v)))
		return n.Encode(v)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return err
	}
	if !f.mayOmit {
		f.mac.Write([]byte(said(v)))
	}
	return nil
}

var encrypted = regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]$`)

// value decrypts one value, which is bound to its path as additional data.
func (f *file) value(text, place string) (plain, kind string, err error) {
	m := encrypted.FindStringSubmatch(text)
	if m == nil {
		return "", "", errors.New("not a SOPS value")
	}
	var parts [3][]byte
	for i := range parts {
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return "", "", err
		}
	}
	block, err := aes.NewCipher(f.key)
	if err != nil {
		return "", "", err
	}
	if len(parts[1]) == 0 {
		return "", "", errors.New("not a SOPS value")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(parts[1]))
	if err != nil {
		return "", "", err
	}
	b, err := gcm.Open(nil, parts[1], append(parts[0], parts[2]...), []byte(place))
	if err != nil {
		return "", "", errors.New("the value was modified or moved after SOPS encrypted it")
	}
	return string(b), m[4], nil
}

func typed(plain, kind string) (any, error) {
	switch kind {
	case "int":
		return strconv.Atoi(plain)
	case "float":
		return strconv.ParseFloat(plain, 64)
	case "bool":
		return strconv.ParseBool(plain)
	case "time":
		return time.Parse(time.RFC3339Nano, plain)
	case "str", "bytes":
		return plain, nil
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

// said returns the text of a value that enters the MAC.
func said(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

// uncomment drops encrypted comments.
func uncomment(n *yaml.Node) {
	for _, c := range []*string{&n.HeadComment, &n.LineComment, &n.FootComment} {
		if strings.Contains(*c, "ENC[AES256_GCM,") {
			*c = ""
		}
	}
}
