package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// NoSkaffoldError refuses profiles of a project without a skaffold.yaml.
type NoSkaffoldError struct{ Dir string }

func (e *NoSkaffoldError) Error() string {
	return fmt.Sprintf("-p selects profiles of a skaffold.yaml, but %s has none", e.Dir)
}

// WithProfiles returns the environment that profiles of the project's skaffold.yaml make. It has the class,
// context and namespace of the environment whose name is the profiles joined by commas, if there is one. It
// fails with a *NoSkaffoldError without a skaffold.yaml.
func (p Project) WithProfiles(profiles []string) (Environment, error) {
	file := "skaffold.yaml"
	for _, env := range p.Environments {
		if env.Skaffold != nil {
			file = env.Skaffold.File
		}
	}
	if _, err := os.Stat(filepath.Join(p.Dir, file)); err != nil {
		return Environment{}, &NoSkaffoldError{p.Dir}
	}
	name := strings.Join(profiles, ",")
	env, err := p.Environment(name)
	if err != nil {
		env = Environment{Name: name}
	}
	env.Paths, env.Charts, env.Skaffold = nil, nil, &Skaffold{File: file, Profiles: profiles}
	return env, nil
}
