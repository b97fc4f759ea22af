package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"go.yaml.in/yaml/v3"
)

// access is the API server of a kubeconfig, as its first user.
type access struct {
	address string
	client  *http.Client
}

// newAccess reads a kubeconfig that holds its certificates, as that of a sandbox does.
func newAccess(kubeconfig string) (access, error) {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		return access{}, err
	}
	var file struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     string `yaml:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate string `yaml:"client-certificate-data"`
				Key         string `yaml:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return access{}, err
	}
	if len(file.Clusters) == 0 || len(file.Users) == 0 {
		return access{}, fmt.Errorf("%s has no cluster or no user", kubeconfig)
	}
	decode := func(text string) []byte {
		data, e := base64.StdEncoding.DecodeString(text)
		err = errors.Join(err, e)
		return data
	}
	cluster, user := file.Clusters[0].Cluster, file.Users[0].User
	pair, e := tls.X509KeyPair(decode(user.Certificate), decode(user.Key))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(decode(cluster.CA))
	return access{cluster.Server, &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		ForceAttemptHTTP2: true,
	}}}, errors.Join(err, e)
}

// request is one request, and its answer.
func (a access) request(method, path, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequest(method, a.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	resp, err := a.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = &statusError{resp.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, text)}
	}
	return text, err
}

// statusError is an answer that says no.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// places are the addresses of the kinds that a bench deploys.
var places = map[string]string{
	"ConfigMap": "/api/v1/namespaces/%s/configmaps/", "Service": "/api/v1/namespaces/%s/services/",
	"Deployment": "/apis/apps/v1/namespaces/%s/deployments/",
}

// apply is one server-side apply.
type apply struct {
	path string
	body []byte
}

// applies reads the objects of a file.
func applies(file, namespace string) ([]apply, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	docs, err := documents(text)
	if err != nil {
		return nil, err
	}
	var all []apply
	for _, d := range docs {
		o, ok := d.(map[string]any)
		if !ok {
			continue
		}
		metadata, _ := o["metadata"].(map[string]any)
		body, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		kind, _ := o["kind"].(string)
		all = append(all, apply{fmt.Sprintf(places[kind], namespace) + fmt.Sprint(metadata["name"]), body})
	}
	return all, nil
}

// loop sends applies, eight at a time, and nothing else.
func (a access) loop(all []apply) error {
	var wg sync.WaitGroup
	next, errs := make(chan apply), make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			for one := range next {
				_, err := a.request(http.MethodPatch, one.path+"?fieldManager=bench&force=false",
					"application/apply-patch+yaml", one.body)
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	for _, one := range all {
		next <- one
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}
