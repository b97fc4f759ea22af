package main

import "slipway/internal/words"

// The short names of what nearly every verb prints with.
var (
	clean, brief, oneLine, clip = words.Clean, words.Brief, words.OneLine, words.Clip
	age, count                  = words.Age, words.Count
	value, values, fieldValue   = words.Value, words.Values, words.Field
	compact, lineDiff           = words.Compact, words.Lines
)

type spelling = words.Spelling
