// Package locale holds the texts of the interface in every language that is
// offered, and writes dates, numbers and names as each language does.
//
// The texts are the files texts/*.toml; English is the one that the others
// translate. REVIEW.md says which of them a native speaker has read.
package locale

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

//go:embed texts/*.toml texts/terms/*.toml
var texts embed.FS

// ErrBroken is returned by [New] when a file of texts cannot be read or lacks
// what every file must have.
var ErrBroken = errors.New("broken interface texts")

// order is the order in which languages are offered: that of the house, with
// what is not there left out.
var order = []string{"en", "pl", "de", "it", "el", "cs", "nl", "fr", "lt", "no", "sv", "fi", "mt"}

// English is the language of last resort.
const English = "en"

// Set holds all offered languages. But for [Set.SetLabels] it does not change. It
// may be used from any goroutine.
type Set struct {
	languages []*Language
	byTag     map[string]*Language
	matcher   language.Matcher
	words     []Words
	labels    atomic.Pointer[Labels]
}

// New reads the embedded texts.
func New() (*Set, error) { return Read(texts) }

// Read reads the files texts/*.toml and texts/terms/*.toml of fsys. Each is named by the
// tag of its language, and texts/en.toml must be among them.
func Read(fsys fs.FS) (*Set, error) {
	names, err := fs.Glob(fsys, "texts/*.toml")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	set := &Set{byTag: make(map[string]*Language, len(names))}
	for _, name := range names {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBroken, err)
		}
		l := &Language{tag: strings.TrimSuffix(path.Base(name), ".toml")}
		if err := l.read(raw); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBroken, name, err)
		}
		set.byTag[l.tag] = l
		set.languages = append(set.languages, l)
	}
	english := set.byTag[English]
	if english == nil {
		return nil, fmt.Errorf("%w: there is no texts/en.toml", ErrBroken)
	}
	if err := set.readWords(fsys); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	sort.SliceStable(set.languages, func(i, j int) bool {
		return rank(set.languages[i].tag) < rank(set.languages[j].tag)
	})
	tags := make([]language.Tag, len(set.languages))
	for i, l := range set.languages {
		l.english, l.set = english, set
		tags[i] = language.Make(l.tag)
	}
	set.matcher = language.NewMatcher(tags)
	return set, nil
}

func rank(tag string) int {
	for i, t := range order {
		if t == tag {
			return i
		}
	}
	return len(order)
}

// Languages returns the offered languages in the order in which they are shown.
func (s *Set) Languages() []*Language { return s.languages }

// Get returns the language with the tag as it stands in an address: lower
// case, no region. The two written forms of Norwegian are found under "no".
func (s *Set) Get(tag string) (*Language, bool) {
	l, ok := s.byTag[norwegian(tag)]
	return l, ok
}

// English returns the language of last resort.
func (s *Set) English() *Language { return s.byTag[English] }

const maxAccept = 512 // bytes of Accept-Language that are looked at

// Match returns the offered language that an Accept-Language header asks for,
// English when it asks for none that is offered.
func (s *Set) Match(accept string) *Language {
	if len(accept) > maxAccept {
		accept = accept[:maxAccept]
	}
	wanted, weights, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return s.English()
	}
	kept := wanted[:0]
	for i, t := range wanted {
		if weights[i] <= 0 {
			continue // "not this one"
		}
		// The matcher does not know that a reader of nynorsk reads bokmål.
		if base, _ := t.Base(); norwegian(base.String()) == "no" {
			t = language.Make("no")
		}
		kept = append(kept, t)
	}
	// Only the index is used: the tag that the matcher returns carries a
	// region extension and is no key of ours.
	_, i, confidence := s.matcher.Match(kept...)
	if confidence < language.Low {
		return s.English()
	}
	return s.languages[i]
}

func norwegian(tag string) string {
	if tag == "nb" || tag == "nn" {
		return "no"
	}
	return tag
}

// file is the shape of texts/*.toml.
type file struct {
	Name        string                       `toml:"name"`
	Date        string                       `toml:"date"`
	MonthYear   string                       `toml:"month_year"`
	Months      []string                     `toml:"months"`
	MonthsAlone []string                     `toml:"months_alone"`
	Days        []string                     `toml:"days"`
	DaysShort   []string                     `toml:"days_short"`
	And         string                       `toml:"and"`
	Group       string                       `toml:"group"`
	GroupFrom   int                          `toml:"group_from"`
	Text        map[string]string            `toml:"text"`
	Plural      map[string]map[string]string `toml:"plural"`
	Terms       map[string]map[string]string `toml:"terms"`
	Languages   map[string]string            `toml:"languages"`
	Countries   map[string]string            `toml:"countries"`
	InText      map[string]string            `toml:"countries_in_text"` // where a name reads otherwise inside a sentence
}

func (l *Language) read(raw []byte) error {
	d := toml.NewDecoder(strings.NewReader(string(raw))).DisallowUnknownFields()
	if err := d.Decode(&l.file); err != nil {
		return err
	}
	switch {
	case l.file.Name == "":
		return errors.New("name is missing")
	case len(l.Months) != 12 || len(l.MonthsAlone) != 12:
		return errors.New("months and months_alone need 12 names each")
	case len(l.Days) != 7 || len(l.DaysShort) != 7:
		return errors.New("days and days_short need 7 names each, from Monday")
	}
	base, err := language.Parse(l.tag)
	if err != nil {
		return err
	}
	l.plural = base
	return nil
}
