package sheet

import "bytes"

// Parse is [Open] of what stands in memory.
func Parse(b []byte, o Options) (*Table, error) {
	t := &Table{}
	if err := t.open(bytes.NewReader(b), int64(len(b)), o); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Guesses are the fields that Suggest knows names of.
func Guesses() []string {
	var out []string
	for _, g := range guesses {
		out = append(out, g.field)
	}
	return out
}
