package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
)

//go:embed page.css
var css []byte

// The one script: the way out with fewer steps. No page needs it.
//
//go:embed exit.js
var script []byte

// The icon is a plain dot: it says nothing about what the page is about.
var dot = []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="#5b7d86"/></svg>`)

// Asset is a file that a page needs. Its path carries a hash of its content, so
// that it may be kept for ever.
type Asset struct {
	Path        string // "/page.0123456789ab.css"
	ContentType string
	Body        []byte
}

// NewAsset returns the asset with a hash of its content in its path.
func NewAsset(name, ext, contentType string, body []byte) Asset {
	sum := sha256.Sum256(body)
	return Asset{"/" + name + "." + hex.EncodeToString(sum[:6]) + "." + ext, contentType, body}
}

func stylesheet() Asset { return NewAsset("page", "css", "text/css; charset=utf-8", css) }
func exitScript() Asset { return NewAsset("page", "js", "text/javascript; charset=utf-8", script) }
func icon() Asset       { return NewAsset("dot", "svg", "image/svg+xml", dot) }

// Assets returns the files that the pages need.
func (r *Renderer) Assets() []Asset { return []Asset{r.css, r.script, r.icon} }

// ServeHTTP answers with the asset.
func (a Asset) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	Headers(w.Header())
	w.Header().Set("Content-Type", a.ContentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Robots-Tag", "noindex")
	_, _ = w.Write(a.Body)
}
