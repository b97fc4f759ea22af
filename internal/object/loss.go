package object

// LossKind says how something that a source states got lost.
type LossKind int

// The kinds of losses.
const (
	// LostElement is an element of a list that a merge dropped for another one with the same key.
	LostElement LossKind = iota
	// MergedTags are tags of one image that an entry of images made one.
	MergedTags
	// IgnoredNull is a null in a chart's values that does not remove the value of a chart within.
	IgnoredNull
	// NullText is a null in a patch that leaves a value in place of removing it.
	NullText
	// Deprecated is nothing that is lost yet: a later version of the tool drops it.
	Deprecated
)

// Loss is something that a source states and its tool drops silently, now or in a later version.
type Loss struct {
	Kind LossKind
	// Origin is the line that causes it.
	Origin
	// Text says what is lost, and to what.
	Text string
}
