package git

// Short is the first seven digits of a hash, which is what image tags are made of and what people read.
func Short(hash string) string { return hash[:min(7, len(hash))] }
