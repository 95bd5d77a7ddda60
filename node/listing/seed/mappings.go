package seed

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed vocabulary/mappings.json
var mappings []byte

// Mapping says what a code of the seed vocabulary is in another scheme.
type Mapping struct {
	Scheme   string `json:"scheme"`   // jrc, ecsa or hsds
	Code     string `json:"code"`     // as that scheme writes it
	Relation string `json:"relation"` // exact, close, broad, narrow or related
}

// Mappings are those of all codes that have any, by vocabulary and code, ordered
// by scheme and code. What they rest on is said in the file.
func Mappings() (map[string]map[string][]Mapping, error) {
	var f struct {
		Terms map[string]map[string][]Mapping `json:"terms"`
	}
	if err := json.Unmarshal(mappings, &f); err != nil {
		return nil, fmt.Errorf("mappings of the seed vocabulary: %w", err)
	}
	return f.Terms, nil
}
