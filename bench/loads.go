package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"

	"slipway/bench/work"
)

const (
	kustomize = "kustomize"
	helm      = "helm"
	// archive holds the conformance cases.
	archive = "render.tar.xz"
	// kubeVersion is what charts are told.
	kubeVersion = "1.34.0"
)

// generated writes the projects of each size.
func generated(dir string, small bool) ([]load, error) {
	var loads []load
	for _, size := range []struct {
		objects, times  int
		kustomize, helm float64
	}{
		{31, 9, 0.4, 0.3}, {301, 5, 0.4, 0.6}, {3001, 3, 0.1, 0.4},
	} {
		if small && size.objects > 1000 {
			continue
		}
		k := load{engine: kustomize, objects: size.objects, times: size.times, cold: size.kustomize, once: size.objects > 1000}
		h := load{engine: helm, objects: size.objects, times: size.times, cold: size.helm}
		for _, l := range []*load{&k, &h} {
			l.name = fmt.Sprintf("%d objects", l.objects)
			l.dir = filepath.Join(dir, fmt.Sprintf("%s-%d", l.engine, l.objects))
		}
		if err := errors.Join(work.Kustomize(k.dir, k.objects), work.Helm(h.dir, h.objects)); err != nil {
			return nil, err
		}
		for _, env := range work.Environments {
			k.overlay(filepath.Join("overlays", env))
			h.chart("chart", work.Namespace(env), "values-"+env+".yaml")
		}
		loads = append(loads, k, h)
	}
	return loads, nil
}

func (l *load) overlay(path string) {
	l.peer = append(l.peer, []string{"build", path})
	l.alone = append(l.alone, []string{"render", "--kustomize", path})
}

func (l *load) chart(path, namespace string, values ...string) {
	flags := []string{"--namespace", namespace, "--kube-version", kubeVersion}
	for _, v := range values {
		flags = append(flags, "--values", v)
	}
	l.peer = append(l.peer, append([]string{"template", "rel", path}, flags...))
	l.alone = append(l.alone, append([]string{"render", "--chart", path, "--release", "rel"}, flags...))
}

// unpacked makes projects of the larger conformance cases: three overlays of one base, or one chart
// with three files of values, or in three namespaces.
func unpacked(dir, conformance string) ([]load, error) {
	if err := unpack(dir, filepath.Join(conformance, archive)); err != nil {
		return nil, err
	}
	demo := load{engine: kustomize, name: "microservices-demo", dir: filepath.Join(dir, "microservices-demo-kust"), times: 5, cold: 0.4}
	var listed strings.Builder
	for i, test := range []string{"service-mesh-istio", "memorystore", "spanner"} {
		path := "kustomize/tests/" + test + "-with-all-components"
		demo.overlay(path)
		fmt.Fprintf(&listed, "  env-%d: {path: %s, class: local}\n", i, path)
	}
	if err := demo.project(listed.String()); err != nil {
		return nil, err
	}
	loads := []load{demo}
	for _, c := range []struct {
		chart  string
		values [3]string
	}{
		{"cert-manager", [3]string{}},
		{"prometheus", [3]string{"01-automount-sa-token-values", "02-config-reloader-deployment-values", "06-server-sts-values"}},
		{"ingress-nginx", [3]string{"controller-configmap-values", "controller-daemonset-metrics-values", "controller-configmap-addheaders-values"}},
	} {
		l := load{engine: helm, name: c.chart, dir: filepath.Join(dir, c.chart), times: 5, cold: 0.3}
		listed.Reset()
		for i, file := range c.values {
			var values []string
			if file != "" {
				values = append(values, "chart/ci/"+file+".yaml")
			}
			namespace := fmt.Sprintf("space-%d", i)
			l.chart("chart", namespace, values...)
			fmt.Fprintf(&listed, "  env-%d: {class: local, namespace: %s, kubeVersion: %s, charts: [{path: chart, release: rel, values: [%s]}]}\n",
				i, namespace, kubeVersion, strings.Join(values, ", "))
		}
		if err := l.project(listed.String()); err != nil {
			return nil, err
		}
		loads = append(loads, l)
	}
	return loads, nil
}

func (l *load) project(environments string) error {
	return os.WriteFile(filepath.Join(l.dir, "slipway.yaml"), []byte("project: case\nenvironments:\n"+environments), 0o644)
}

// unpack writes an archive's files below a folder.
func unpack(dir, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := xz.NewReader(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if err := entry(root, h, r); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

func entry(root *os.Root, h *tar.Header, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(h.Name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(filepath.Clean(h.Name), 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, h.Name)
	case tar.TypeReg:
		f, err := root.Create(h.Name)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return nil
}
