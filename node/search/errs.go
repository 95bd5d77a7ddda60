package search

import "errors"

// errSegment: a segment does not hold together.
var errSegment = errors.New("search: a damaged segment")

// file is what a segment is mapped from.
type file struct{}
