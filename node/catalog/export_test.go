package catalog

import (
	"context"

	"github.com/2ps-project/waymark/federation/feed"
)

// ResumeSaved brings a saved index up to date, and tells whether it could.
func (c *Catalog) ResumeSaved(ctx context.Context) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume(ctx)
}

// Keeps tells whether a listing is kept decoded.
func (c *Catalog) Keeps(id feed.Key) bool { return c.shown.get(id) != nil }

// BuildBatch sets how many listings of a large step are documents at once, until what
// it returns is called.
func BuildBatch(n int) (back func()) {
	was := buildBatch
	buildBatch = n
	return func() { buildBatch = was }
}
