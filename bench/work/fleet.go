package work

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fleet writes a project of n environments of four objects each, every one with a directory and a namespace
// of its own, and returns the names of the environments. All are in the kubeconfig context given.
func Fleet(dir, context string, n int) ([]string, error) {
	var project strings.Builder
	project.WriteString("project: fleet\nenvironments:\n")
	var names []string
	for i := range n {
		name := fmt.Sprintf("env-%04d", i)
		names = append(names, name)
		fmt.Fprintf(&project, "  %[1]s: {path: k8s/%[1]s, class: local, context: %[2]s, namespace: %[1]s}\n", name,
			context)
		text := fmt.Sprintf(plainDeployment, "app") + fmt.Sprintf(plainService, "app") +
			fmt.Sprintf(plainConfig, "app", 2, i) + fmt.Sprintf(plainConfig, "app", 3, i)
		at := filepath.Join(dir, "k8s", name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(at, "all.yaml"), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return names, os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(project.String()), 0o644)
}
