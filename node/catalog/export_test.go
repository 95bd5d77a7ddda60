package catalog

import "context"

// ResumeSaved brings a saved index up to date, and tells whether it could.
func (c *Catalog) ResumeSaved(ctx context.Context) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume(ctx)
}
