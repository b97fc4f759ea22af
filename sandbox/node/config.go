package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rootCA is in each namespace by the control plane's doing; looking for it in each pod's token
// volume would find nothing but a race with a namespace that was just made.
const rootCA = "kube-root-ca.crt"

// missing is a fault of the pod's configuration, worded as by the kubelet.
type missing struct{ message string }

func (m missing) Error() string { return m.message }

// data fetches what a pod refers to, once per attempt.
type data struct {
	*kubelet
	namespace string
	read      map[string]map[string]bool // "configmap NAME" or "secret NAME" → its keys; nil: not there
}

func (k *kubelet) data(pod *corev1.Pod) *data {
	return &data{kubelet: k, namespace: pod.Namespace, read: map[string]map[string]bool{}}
}

func (d *data) keys(ctx context.Context, kind, name string) (map[string]bool, error) {
	id := kind + " " + name
	if keys, ok := d.read[id]; ok {
		return keys, nil
	}
	keys := map[string]bool{}
	var err error
	if kind == "secret" {
		var s *corev1.Secret
		s, err = d.client.CoreV1().Secrets(d.namespace).Get(ctx, name, metav1.GetOptions{})
		for k := range s.Data {
			keys[k] = true
		}
	} else {
		var m *corev1.ConfigMap
		m, err = d.client.CoreV1().ConfigMaps(d.namespace).Get(ctx, name, metav1.GetOptions{})
		for k := range m.Data {
			keys[k] = true
		}
		for k := range m.BinaryData {
			keys[k] = true
		}
	}
	if apierrors.IsNotFound(err) {
		keys, err = nil, nil
	}
	if err == nil {
		d.read[id] = keys
	}
	return keys, err
}

func isTrue(b *bool) bool { return b != nil && *b }

// need asks for an object and, unless it is empty, one key of it.
func (d *data) need(ctx context.Context, kind, name, key string, optional *bool) error {
	if isTrue(optional) || name == rootCA {
		return nil
	}
	keys, err := d.keys(ctx, kind, name)
	switch {
	case err != nil:
		return err
	case keys == nil:
		return missing{fmt.Sprintf("%s %q not found", kind, name)}
	case key != "" && !keys[key]:
		word := map[string]string{"configmap": "ConfigMap", "secret": "Secret"}[kind]
		return missing{fmt.Sprintf("couldn't find key %s in %s %s/%s", key, word, d.namespace, name)}
	}
	return nil
}

// environment checks what a container's variables come from.
func (d *data) environment(ctx context.Context, c *corev1.Container) error {
	for _, from := range c.EnvFrom {
		if m := from.ConfigMapRef; m != nil {
			if err := d.need(ctx, "configmap", m.Name, "", m.Optional); err != nil {
				return err
			}
		}
		if s := from.SecretRef; s != nil {
			if err := d.need(ctx, "secret", s.Name, "", s.Optional); err != nil {
				return err
			}
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if m := v.ValueFrom.ConfigMapKeyRef; m != nil {
			if err := d.need(ctx, "configmap", m.Name, m.Key, m.Optional); err != nil {
				return err
			}
		}
		if s := v.ValueFrom.SecretKeyRef; s != nil {
			if err := d.need(ctx, "secret", s.Name, s.Key, s.Optional); err != nil {
				return err
			}
		}
	}
	return nil
}

// volumes checks what the pod's volumes are made of. Each other kind counts as mounted.
func (d *data) volumes(ctx context.Context, pod *corev1.Pod) (volume string, err error) {
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			err = d.mount(ctx, "configmap", v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
		case v.Secret != nil:
			err = d.mount(ctx, "secret", v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
		case v.Projected != nil:
			err = d.project(ctx, v.Projected.Sources)
		}
		if err != nil {
			return v.Name, err
		}
	}
	return "", nil
}

func (d *data) project(ctx context.Context, sources []corev1.VolumeProjection) (err error) {
	for _, s := range sources {
		switch {
		case s.ConfigMap != nil:
			err = d.mount(ctx, "configmap", s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
		case s.Secret != nil:
			err = d.mount(ctx, "secret", s.Secret.Name, s.Secret.Items, s.Secret.Optional)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *data) mount(ctx context.Context, kind, name string, items []corev1.KeyToPath, optional *bool) error {
	if err := d.need(ctx, kind, name, "", optional); err != nil || isTrue(optional) || name == rootCA {
		return err
	}
	keys, err := d.keys(ctx, kind, name)
	if err != nil {
		return err
	}
	for _, item := range items {
		if keys[item.Key] {
			continue
		}
		if kind == "secret" {
			return missing{"references non-existent secret key: " + item.Key}
		}
		return missing{"configmap references non-existent config key: " + item.Key}
	}
	return nil
}

// checkUser is the kubelet's guard of runAsNonRoot, which needs the image's user.
func checkUser(pod *corev1.Pod, c *corev1.Container, img image) error {
	var nonRoot *bool
	var user *int64
	if s := pod.Spec.SecurityContext; s != nil {
		nonRoot, user = s.RunAsNonRoot, s.RunAsUser
	}
	if s := c.SecurityContext; s != nil {
		if s.RunAsNonRoot != nil {
			nonRoot = s.RunAsNonRoot
		}
		if s.RunAsUser != nil {
			user = s.RunAsUser
		}
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", fullName(pod), c.Name)
	name, _, _ := strings.Cut(img.user, ":")
	switch id, err := strconv.ParseInt(name, 10, 64); {
	case !isTrue(nonRoot), user != nil && *user != 0:
		return nil
	case user != nil:
		return missing{"container's runAsUser breaks non-root policy " + where}
	case name == "", err == nil && id == 0:
		return missing{"container has runAsNonRoot and image will run as root " + where}
	case err != nil:
		return missing{fmt.Sprintf("container has runAsNonRoot and image has non-numeric user (%s), cannot "+
			"verify user is non-root %s", name, where)}
	}
	return nil
}
