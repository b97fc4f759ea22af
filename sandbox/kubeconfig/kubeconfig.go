// Package kubeconfig writes the files by which clients find the sandbox's API server, and the mark
// by which they recognise that it is one.
package kubeconfig

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Extension is the name of the cluster entry's extension that says: this cluster is a sandbox.
const Extension = "slipway.dev/sandbox"

// Sandbox is what the extension holds.
type Sandbox struct {
	Registry  string `json:"registry"`  // host:port
	GitServer string `json:"gitserver"` // base URL
	Data      string `json:"data"`      // the sandbox's folder
}

// Context is one context with a user of its own.
type Context struct {
	Name, Namespace, User string
	CertFile, KeyFile     string
}

// File is what a kubeconfig says. The first context is the current one.
type File struct {
	Server   string
	CAFile   string
	Sandbox  *Sandbox // nil: a component's own file, without the mark
	Contexts []Context
}

const cluster = "sandbox"

// Write replaces the file at path, in one step. A current context that somebody chose stays.
func Write(path string, f File) error {
	c, err := f.config()
	if err != nil {
		return err
	}
	if chosen := currentContext(path); c.Contexts[chosen] != nil {
		c.CurrentContext = chosen
	}
	b, err := clientcmd.Write(*c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (f File) config() (*clientcmdapi.Config, error) {
	ca, err := os.ReadFile(f.CAFile)
	if err != nil {
		return nil, err
	}
	c := clientcmdapi.NewConfig()
	c.Clusters[cluster] = &clientcmdapi.Cluster{Server: f.Server, CertificateAuthorityData: ca}
	if f.Sandbox != nil {
		raw, err := json.Marshal(f.Sandbox)
		if err != nil {
			return nil, err
		}
		c.Clusters[cluster].Extensions = map[string]runtime.Object{
			Extension: &runtime.Unknown{Raw: raw, ContentType: runtime.ContentTypeJSON},
		}
	}
	for _, x := range f.Contexts {
		crt, err := os.ReadFile(x.CertFile)
		if err != nil {
			return nil, fmt.Errorf("context %s: %w", x.Name, err)
		}
		key, err := os.ReadFile(x.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("context %s: %w", x.Name, err)
		}
		c.AuthInfos[x.User] = &clientcmdapi.AuthInfo{ClientCertificateData: crt, ClientKeyData: key}
		c.Contexts[x.Name] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: x.User, Namespace: x.Namespace}
		if c.CurrentContext == "" {
			c.CurrentContext = x.Name
		}
	}
	return c, nil
}

// currentContext is empty for a file that is missing or that a person broke: it is written anew.
func currentContext(path string) string {
	c, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return ""
	}
	return c.CurrentContext
}
