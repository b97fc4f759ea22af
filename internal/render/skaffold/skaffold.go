// Package skaffold resolves a skaffold.yaml: which profiles are active and why, what they change, and which
// manifests are to be rendered. It opens no file and runs nothing.
package skaffold

import "fmt"

// The newest supported schema, which resolved configurations have.
const version = "skaffold/v4beta14"

// Config is one document of a skaffold.yaml.
type Config struct {
	// Name is metadata.name; empty where the document has none.
	Name string
	// File is the file's path in the project, with forward slashes.
	File string

	index int            // of the document in the file
	doc   map[string]any // in Skaffold's own form, without empty fields
	lines map[string]int // by JSON pointer
	// Fields that profiles give but leave empty, by the profile's index: they have no effect.
	zeros map[int][]string
}

// FileError reports an error in a skaffold.yaml.
type FileError struct {
	File string
	Line int // 1-based; 0 when it is about the file as a whole
	Err  error
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Warning is something that does less, or more, than it seems to.
type Warning struct {
	File string
	Line int
	Text string
}

func (w Warning) String() string {
	return (&FileError{w.File, w.Line, fmt.Errorf("%s", w.Text)}).Error()
}

// UnknownProfileError reports a requested profile that no configuration has.
type UnknownProfileError struct {
	File, Name string
	Known      []string
	// Suggestion is the known name that was probably meant; empty when none is near.
	Suggestion string
}

func (e *UnknownProfileError) Error() string {
	return fmt.Sprintf("%s: unknown profile %q", e.File, e.Name)
}

// Activation decides which profiles are active.
type Activation struct {
	// Command is what Skaffold would be run as: dev, run, render, …
	Command string
	// KubeContext is the current one; KubeContextFlag is asked for by name and outranks it.
	KubeContext, KubeContextFlag string
	// Env looks up an environment variable, as os.LookupEnv does; nil: there are none.
	Env func(name string) (string, bool)
	// Profiles are asked for by name, in this order; "-name" takes one away.
	Profiles []string
	// NoAuto leaves activation entries aside; NoPropagate keeps Profiles from required configurations.
	NoAuto, NoPropagate bool
}

func (a Activation) env(name string) (string, bool) {
	if a.Env == nil {
		return "", false
	}
	return a.Env(name)
}

// Choice is a profile with the reason why it is active, or why not.
type Choice struct {
	Profile, Why string
	Line         int
}

// Change is one field that a profile set.
type Change struct {
	// Path is a JSON pointer into the configuration.
	Path, Profile string
	Line          int

	from string // the pointer to its value in the file; empty for a patch
}

// Resolved is a configuration with its profiles applied.
type Resolved struct {
	Name, File string
	// Config is the whole document as JSON knows it. It shares its parts with others: not to be changed.
	Config   map[string]any
	Fired    []Choice // in the order of application
	NotFired []Choice // in the order of the file
	Changes  []Change // in the order of application; later ones win
	Warnings []Warning

	source *Config
	active Activation
}

// Profiles are the names of the active profiles, in the order of application.
func (r Resolved) Profiles() []string {
	names := []string{}
	for _, c := range r.Fired {
		names = append(names, c.Profile)
	}
	return names
}
