package hsds

import "encoding/json"

// APIInfo is the answer of the root of an HSDS API.
type APIInfo struct {
	Version    string `json:"version"`
	Profile    string `json:"profile"`     // address of the profile's documentation
	OpenAPIURL string `json:"openapi_url"` // address of the description of this API
}

// Info returns the APIInfo of an API that speaks [Version].
func Info(profile, openAPI string) APIInfo {
	return APIInfo{Version: Version, Profile: profile, OpenAPIURL: openAPI}
}

// Page is one page of a list, as every list of an HSDS API is wrapped.
type Page struct {
	TotalItems int               `json:"total_items"`
	TotalPages int               `json:"total_pages"`
	PageNumber int               `json:"page_number"` // from 1
	Size       int               `json:"size"`        // of contents
	FirstPage  bool              `json:"first_page"`
	LastPage   bool              `json:"last_page"`
	Empty      bool              `json:"empty"`
	Contents   []json.RawMessage `json:"contents"`
}

// NewPage wraps contents as page number of a list of total items, perPage on
// each page. No item at all makes one empty page. A number beyond the last page is an empty page
// that is neither.
func NewPage(contents []json.RawMessage, total, number, perPage int) Page {
	pages := 1
	if perPage > 0 && total > 0 {
		pages = (total + perPage - 1) / perPage
	}
	if contents == nil {
		contents = []json.RawMessage{} // a list, never null
	}
	return Page{
		TotalItems: total, TotalPages: pages, PageNumber: number, Size: len(contents),
		FirstPage: number == 1, LastPage: number == pages, Empty: len(contents) == 0, Contents: contents,
	}
}

// scalars copies the fields that hold one value.
func scalars(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch v.(type) {
		case string, bool, int64, uint64, float64, int:
			out[k] = v
		}
	}
	return out
}

// dropNull takes out of a tree what is null.
func dropNull(m map[string]any) {
	for k, v := range m {
		switch t := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			dropNull(t)
		case []any:
			kept := t[:0]
			for _, x := range t {
				if tree, ok := x.(map[string]any); ok {
					dropNull(tree)
				}
				if x != nil {
					kept = append(kept, x)
				}
			}
			if len(kept) < len(t) {
				m[k] = kept
			}
		}
	}
}

// withoutNull is a copy of a tree without what is null.
func withoutNull(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch t := v.(type) {
		case nil:
			continue
		case map[string]any:
			v = withoutNull(t)
		case []any:
			list := make([]any, 0, len(t))
			for _, x := range t {
				if tree, ok := x.(map[string]any); ok {
					x = withoutNull(tree)
				}
				if x != nil {
					list = append(list, x)
				}
			}
			v = list
		}
		out[k] = v
	}
	return out
}
