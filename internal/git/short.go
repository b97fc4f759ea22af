package git

// Short returns the first seven digits of a hash, as image tags have them.
func Short(hash string) string { return hash[:min(7, len(hash))] }
