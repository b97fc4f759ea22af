package builder

// EngineArg is the hidden first argument with which this binary runs as the engine. main passes the other
// arguments to Engine.
const EngineArg = "builder-engine"

// refusal is the error of the engine's executor without a container runtime. gRPC returns only its text.
const refusal = "this engine has no container runtime"

// engineConfig is the configuration that the parent passes to the engine, as JSON in its first argument.
type engineConfig struct {
	State    string            `json:"state"`
	MaxCache int64             `json:"maxCache"`
	Mirrors  map[string]string `json:"mirrors,omitempty"`
	// Rootless: the engine is root only in its own user namespace.
	Rootless bool `json:"rootless,omitempty"`
	// OneID is why the engine has only the user's own id, with which RUN steps cannot run.
	OneID string `json:"oneID,omitempty"`
}

// engineStatus is what the engine reports once, when it has started or failed to.
type engineStatus struct {
	Error       string `json:"error,omitempty"`
	Snapshotter string `json:"snapshotter,omitempty"`
	// NoRuntime is why RUN steps are refused; empty where they run.
	NoRuntime string `json:"noRuntime,omitempty"`
}
