package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// known is data that was read already: one ConfigMap and one Secret, each with the key `k`.
func known() *data {
	return &data{namespace: "ns", read: map[string]map[string]bool{
		"configmap there": {"k": true}, "secret there": {"k": true}, "configmap gone": nil, "secret gone": nil}}
}

func TestEnvironment(t *testing.T) {
	yes := true
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	fromMap := func(name, key string, optional *bool) corev1.Container {
		return corev1.Container{Env: []corev1.EnvVar{{Name: "PLAIN", Value: "1"},
			{Name: "X", ValueFrom: &corev1.EnvVarSource{
				ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref(name), Key: key,
					Optional: optional}}}}}
	}
	fromSecret := func(name, key string) corev1.Container {
		return corev1.Container{Env: []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref(name), Key: key}}}}}
	}
	for _, tc := range []struct {
		name      string
		container corev1.Container
		want      string
	}{
		{"there", fromMap("there", "k", nil), ""},
		{"no ConfigMap", fromMap("gone", "k", nil), `configmap "gone" not found`},
		{"no ConfigMap, optional", fromMap("gone", "k", &yes), ""},
		{"no key in ConfigMap", fromMap("there", "z", nil), "couldn't find key z in ConfigMap ns/there"},
		{"no Secret", fromSecret("gone", "k"), `secret "gone" not found`},
		{"no key in Secret", fromSecret("there", "z"), "couldn't find key z in Secret ns/there"},
		{"envFrom ConfigMap", corev1.Container{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("gone")}}}}, `configmap "gone" not found`},
		{"envFrom Secret", corev1.Container{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("gone")}}}}, `secret "gone" not found`},
	} {
		if got := text(known().environment(t.Context(), &tc.container)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestVolumes(t *testing.T) {
	yes := true
	secret := func(name string, optional *bool, keys ...string) corev1.VolumeSource {
		v := &corev1.SecretVolumeSource{SecretName: name, Optional: optional}
		for _, k := range keys {
			v.Items = append(v.Items, corev1.KeyToPath{Key: k})
		}
		return corev1.VolumeSource{Secret: v}
	}
	configMap := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}}
	own := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
		Items: []corev1.KeyToPath{{Key: "ca.crt"}}}
	for _, tc := range []struct {
		name   string
		volume corev1.VolumeSource
		want   string
	}{
		{"there", secret("there", nil, "k"), ""},
		{"not there", secret("gone", nil), `secret "gone" not found`},
		{"not there, optional", secret("gone", &yes, "k"), ""},
		{"no such key", secret("there", nil, "z"), "references non-existent secret key: z"},
		{"projected", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ConfigMap: configMap}}}}, `configmap "gone" not found`},
		{"the cluster's own", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ConfigMap: own}}}}, ""},
		{"of no data", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, ""},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: tc.volume}}}}
		volume, err := known().volumes(t.Context(), pod)
		if text(err) != tc.want || (err != nil && volume != "v") {
			t.Errorf("%s: got %q of %q, want %q", tc.name, text(err), volume, tc.want)
		}
	}
}

func TestCheckUser(t *testing.T) {
	yes, no, root, user := true, false, int64(0), int64(1000)
	const where = `(pod: "web_ns(u1)", container: app)`
	for _, tc := range []struct {
		name           string
		pod, container *bool
		runAs          *int64
		image, want    string
	}{
		{"not asked for", nil, nil, nil, "", ""},
		{"image's user", &yes, nil, nil, "65532:65532", ""},
		{"image without user", &yes, nil, nil, "",
			"container has runAsNonRoot and image will run as root " + where},
		{"image of root", &yes, nil, nil, "0", "container has runAsNonRoot and image will run as root " + where},
		{"named user", &yes, nil, nil, "app",
			"container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root " +
				where},
		{"runAsUser", &yes, nil, &user, "", ""},
		{"runAsUser root", &yes, nil, &root, "65532", "container's runAsUser breaks non-root policy " + where},
		{"container goes before pod", &yes, &no, nil, "", ""},
	} {
		pod := single()
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: tc.pod}
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsNonRoot: tc.container,
			RunAsUser: tc.runAs}
		if got := text(checkUser(pod, &pod.Spec.Containers[0], image{user: tc.image})); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
