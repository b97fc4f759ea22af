package builder

// EngineArg is the hidden first argument with which this binary runs as the engine; main passes
// what follows it to Engine.
const EngineArg = "builder-engine"

// refusal is what the engine's executor says where it has no container runtime. Only text survives
// the way back over gRPC.
const refusal = "this engine has no container runtime"

// engineConfig is what the parent tells the engine, as JSON in its first argument.
type engineConfig struct {
	State    string            `json:"state"`
	MaxCache int64             `json:"maxCache"`
	Mirrors  map[string]string `json:"mirrors,omitempty"`
	// Rootless: the engine is root only in a user namespace of its own.
	Rootless bool `json:"rootless,omitempty"`
	// OneID is why it has the user's own id alone, with which no RUN step runs.
	OneID string `json:"oneID,omitempty"`
}

// engineStatus is what the engine answers once, when it is up or cannot be.
type engineStatus struct {
	Error       string `json:"error,omitempty"`
	Snapshotter string `json:"snapshotter,omitempty"`
	// NoRuntime is why RUN steps are refused; empty when they run.
	NoRuntime string `json:"noRuntime,omitempty"`
}
