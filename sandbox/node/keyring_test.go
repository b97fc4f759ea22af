package node

import (
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestPullSecrets(t *testing.T) {
	config := func(text string) *corev1.Secret {
		return &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(text)}}
	}
	plain := config(`{"auths":{"ghcr.io":{"username":"bob","password":"secret"}}}`)
	for _, tc := range []struct {
		name   string
		secret *corev1.Secret
		image  string
		want   []credential
	}{
		{"same host", plain, "ghcr.io/acme/web", []credential{{"bob", "secret"}}},
		{"another host", plain, "quay.io/acme/web", nil},
		{"only auth", config(`{"auths":{"ghcr.io":{"auth":"Ym9iOnNlY3JldA=="}}}`), "ghcr.io/acme/web",
			[]credential{{"bob", "secret"}}},
		{"port differs", config(`{"auths":{"r.localhost:5000":{"username":"bob"}}}`), "r.localhost:5001/web", nil},
		{"address of docker login", config(`{"auths":{"https://index.docker.io/v1/":{"username":"bob"}}}`),
			"busybox", []credential{{"bob", ""}}},
		{"wildcard", config(`{"auths":{"*.azurecr.io":{"username":"bob"}}}`), "acme.azurecr.io/web",
			[]credential{{"bob", ""}}},
		{"beginning of the host", config(`{"auths":{"acme.azurecr":{"username":"bob"}}}`),
			"acme.azurecr.io/web", nil},
		{"longest first", config(`{"auths":{"ghcr.io":{"username":"all"},"ghcr.io/acme":{"username":"acme"}}}`),
			"ghcr.io/acme/web", []credential{{"acme", ""}, {"all", ""}}},
		{"old form", &corev1.Secret{Type: corev1.SecretTypeDockercfg,
			Data: map[string][]byte{corev1.DockerConfigKey: []byte(`{"ghcr.io":{"username":"old"}}`)}},
			"ghcr.io/acme/web", []credential{{"old", ""}}},
		{"another kind of secret", &corev1.Secret{Type: corev1.SecretTypeOpaque}, "ghcr.io/acme/web", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all, err := readPullSecret(tc.secret)
			if err != nil {
				t.Fatal(err)
			}
			ref, err := reference.ParseNormalizedNamed(tc.image)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, all.matching(ref), cmp.AllowUnexported(credential{})); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	if _, err := readPullSecret(config(`{`)); err == nil {
		t.Error("no error for a broken secret")
	}
}
