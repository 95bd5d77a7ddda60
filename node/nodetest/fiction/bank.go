package fiction

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"sync"
)

//go:embed words/*.txt
var words embed.FS

// bank holds the texts of one language by key. Every language has the same keys
// with the same number of variants, and a variant says the same in each: so a
// text is chosen as a phrase and can be told in any language.
type bank map[string][]string

// phrase names a text in every language.
type phrase struct {
	key     string
	variant int
}

func (b bank) say(p phrase) string {
	lines := b[p.key]
	return lines[p.variant%len(lines)]
}

// text returns the first variant of a key.
func (b bank) text(key string) string { return b[key][0] }

// sentences tells several phrases one after the other.
func (b bank) sentences(phrases []phrase) string {
	var s strings.Builder
	for i, p := range phrases {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(b.say(p))
	}
	return s.String()
}

// with puts a word into the place of %s, or of %d.
func with(pattern, word string) string {
	before, after, found := strings.Cut(pattern, "%s")
	if !found {
		before, after, _ = strings.Cut(pattern, "%d")
	}
	return before + word + after
}

// banks returns the texts by language tag. The files are part of the program,
// so one that cannot be read is a fault of the program.
var banks = sync.OnceValue(func() map[string]bank {
	files, err := words.ReadDir("words")
	if err != nil {
		panic(fmt.Sprintf("fiction: %v", err))
	}
	all := make(map[string]bank, len(files))
	for _, f := range files {
		text, err := words.ReadFile(path.Join("words", f.Name()))
		if err != nil {
			panic(fmt.Sprintf("fiction: %v", err))
		}
		all[strings.TrimSuffix(f.Name(), ".txt")] = parseBank(string(text))
	}
	return all
})

// parseBank reads lines of a key, a space and a text; a key that comes again
// adds a variant. Lines that start with # are notes.
func parseBank(text string) bank {
	b := bank{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		b[key] = append(b[key], value)
	}
	return b
}
