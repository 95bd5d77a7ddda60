package locale

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Words are what the vocabularies are called in one language. Its maps are to be
// read only.
type Words struct {
	Language string // the tag, as in addresses
	// Reviewed says which native speaker has read the words, by role; "" when
	// none has.
	Reviewed string
	Names    map[string]string              // of the vocabularies
	Terms    map[string]map[string]string   // by vocabulary and code
	Synonyms map[string]map[string][]string // by vocabulary and code: what people write who look for it
	Banned   []Banned
}

// Banned is what the texts of a language are not to say.
type Banned struct {
	Term    string `toml:"term"`
	Reason  string `toml:"reason"`
	Instead string `toml:"instead"`
}

// words is the shape of texts/terms/*.toml.
type words struct {
	Reviewed string                         `toml:"reviewed"`
	Names    map[string]string              `toml:"names"`
	Terms    map[string]map[string]string   `toml:"terms"`
	Synonyms map[string]map[string][]string `toml:"synonyms"`
	Banned   []Banned                       `toml:"banned"`
}

// Words are those of every language that has any, in the order of the languages:
// also of those in which the interface is not offered. They are the vocabularies
// of a federation that has agreed on none yet.
func (s *Set) Words() []Words { return s.words }

// readWords reads texts/terms/*.toml. What a language's texts call a code goes before
// what its words call it.
func (s *Set) readWords(fsys fs.FS) error {
	names, err := fs.Glob(fsys, "texts/terms/*.toml")
	if err != nil {
		return err
	}
	for _, name := range names {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		var w words
		if err := toml.NewDecoder(strings.NewReader(string(raw))).DisallowUnknownFields().Decode(&w); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		tag := strings.TrimSuffix(path.Base(name), ".toml")
		terms := w.Terms
		if terms == nil {
			terms = map[string]map[string]string{}
		}
		if l := s.byTag[tag]; l != nil {
			if l.file.Terms == nil {
				l.file.Terms = map[string]map[string]string{}
			}
			for v, codes := range terms {
				l.file.Terms[v] = merge(codes, l.file.Terms[v])
			}
			terms = l.file.Terms
		}
		s.words = append(s.words, Words{tag, w.Reviewed, w.Names, terms, w.Synonyms, w.Banned})
	}
	sort.SliceStable(s.words, func(i, j int) bool { return rank(s.words[i].Language) < rank(s.words[j].Language) })
	return nil
}

// merge is both maps, b before a.
func merge(a, b map[string]string) map[string]string {
	out := make(map[string]string, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

// Labels are words for codes that go before those of the interface: by
// vocabulary, code and language.
type Labels map[string]map[string]map[string]string

// SetLabels has the languages call codes by the given labels from now on, as the
// countries of the federation have agreed. What is not among them stays as the
// interface calls it. The map must not be changed afterwards.
func (s *Set) SetLabels(l Labels) { s.labels.Store(&l) }

// label is the agreed label of a code, if there is one.
func (l *Language) label(vocabulary, code string) (string, bool) {
	if l.set == nil {
		return "", false
	}
	labels := l.set.labels.Load()
	if labels == nil {
		return "", false
	}
	s, ok := (*labels)[vocabulary][code][l.tag]
	return s, ok
}
