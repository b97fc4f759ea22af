package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type credential struct{ user, password string }

func (c credential) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password))
}

// keys are the entries of pull secrets: what registry they open, and with what.
type keys []key

type key struct {
	registry string // host, host:port or host/path; * stands for one label of the host
	credential
}

// readPullSecret reads both forms that Kubernetes knows. A secret of another kind opens nothing.
func readPullSecret(s *corev1.Secret) (keys, error) {
	type entry struct{ Username, Password, Auth string }
	var entries map[string]entry
	var err error
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		var doc struct{ Auths map[string]entry }
		err = json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &doc)
		entries = doc.Auths
	case corev1.SecretTypeDockercfg:
		err = json.Unmarshal(s.Data[corev1.DockerConfigKey], &entries)
	}
	if err != nil {
		return nil, fmt.Errorf("pull secret %s/%s is not a Docker configuration", s.Namespace, s.Name)
	}
	var all keys
	for name, e := range entries {
		cred := credential{e.Username, e.Password}
		if plain, err := base64.StdEncoding.DecodeString(e.Auth); err == nil && e.Auth != "" {
			cred.user, cred.password, _ = strings.Cut(string(plain), ":")
		}
		all = append(all, key{registryName(name), cred})
	}
	return all, nil
}

// registryName strips what docker login writes around the host.
func registryName(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	s = strings.TrimSuffix(s, "/")
	if host, rest, ok := strings.Cut(s, "/"); ok && (rest == "v1" || rest == "v2") {
		s = host
	}
	if s == "index.docker.io" {
		s = "docker.io"
	}
	return s
}

// matching returns the credentials for an image, the most particular first, as the kubelet does.
func (k keys) matching(ref reference.Named) []credential {
	fit := slices.DeleteFunc(slices.Clone(k), func(e key) bool { return !opens(e.registry, ref) })
	slices.SortStableFunc(fit, func(a, b key) int { return cmp.Compare(len(b.registry), len(a.registry)) })
	var creds []credential
	for _, e := range fit {
		if !slices.Contains(creds, e.credential) {
			creds = append(creds, e.credential)
		}
	}
	return creds
}

func opens(registry string, ref reference.Named) bool {
	host, prefix, _ := strings.Cut(registry, "/")
	want, have := strings.Split(host, "."), strings.Split(reference.Domain(ref), ".")
	if len(want) != len(have) || !strings.HasPrefix(reference.Path(ref), prefix) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// keyring collects the pull secrets of a pod, and the names of those that are missing or not readable. Those
// of its service account were copied to the pod at admission.
func (k *kubelet) keyring(ctx context.Context, pod *corev1.Pod) (all keys, missing []string, err error) {
	for _, r := range pod.Spec.ImagePullSecrets {
		s, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			missing = append(missing, r.Name)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		more, err := readPullSecret(s)
		if err != nil {
			missing = append(missing, r.Name)
			continue
		}
		all = append(all, more...)
	}
	return all, missing, nil
}
