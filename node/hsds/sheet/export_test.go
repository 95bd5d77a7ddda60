package sheet

// Guesses are the fields that Suggest knows names of.
func Guesses() []string {
	var out []string
	for _, g := range guesses {
		out = append(out, g.field)
	}
	return out
}
