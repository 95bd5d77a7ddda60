package locale

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/collate"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Language is one language of the interface. Its maps are to be read only.
type Language struct {
	file
	tag     string
	plural  language.Tag
	english *Language // where to look for what this language lacks
	set     *Set      // that it is of
}

// Tag returns the tag as it stands in addresses: "pl".
func (l *Language) Tag() string { return l.tag }

// Name returns the name of the language in itself: "Polski".
func (l *Language) Name() string { return l.file.Name }

// Has tells whether there is a text, plain or plural, with the key.
func (l *Language) Has(key string) bool {
	_, plain := l.file.Text[key]
	_, counted := l.file.Plural[key]
	return plain || counted
}

// Say returns the text with the key, its placeholders filled from pairs of name and
// value. A text that is missing is taken from English; a key that nobody
// knows is returned as it is, so that the hole can be seen.
func (l *Language) Say(key string, pairs ...any) string {
	s, ok := l.file.Text[key]
	if !ok {
		if l != l.english {
			return l.english.Say(key, pairs...)
		}
		return key
	}
	return fill(s, pairs)
}

// Count returns the text with the key in the plural form that n asks for. The
// placeholder {count} is n as the language writes numbers.
func (l *Language) Count(key string, n int, pairs ...any) string {
	forms, ok := l.file.Plural[key]
	if !ok {
		if l != l.english {
			return l.english.Count(key, n, pairs...)
		}
		return key
	}
	s, ok := forms[Form(l.tag, n)]
	if !ok {
		s = forms["other"]
	}
	return fill(s, append([]any{"count", l.Number(n)}, pairs...))
}

// Form returns the CLDR plural category of the whole number n in a language:
// zero, one, two, few, many or other.
func Form(tag string, n int) string {
	if n < 0 {
		n = -n
	}
	t, err := language.Parse(tag)
	if err != nil {
		return "other"
	}
	switch plural.Cardinal.MatchPlural(t, n, 0, 0, 0, 0) {
	case plural.Zero:
		return "zero"
	case plural.One:
		return "one"
	case plural.Two:
		return "two"
	case plural.Few:
		return "few"
	case plural.Many:
		return "many"
	}
	return "other"
}

func fill(s string, pairs []any) string {
	if len(pairs) < 2 || !strings.Contains(s, "{") {
		return s
	}
	list := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, "{"+fmt.Sprint(pairs[i])+"}", fmt.Sprint(pairs[i+1]))
	}
	return strings.NewReplacer(list...).Replace(s)
}

// Term returns the public label of a code of a vocabulary: as the countries have
// agreed, else as the interface calls it, in this language, else in English; the
// code itself, made readable, when there is no label for it: vocabularies grow.
func (l *Language) Term(vocabulary, code string) string {
	for _, in := range []*Language{l, l.english} {
		if s, ok := in.label(vocabulary, code); ok {
			return s
		}
		if s, ok := in.Terms[vocabulary][code]; ok {
			return s
		}
	}
	return strings.NewReplacer("_", " ", ".", ": ").Replace(code)
}

// HasTerm tells whether the language has a label of its own for the code.
func (l *Language) HasTerm(vocabulary, code string) bool {
	_, ok := l.Terms[vocabulary][code]
	if !ok {
		_, ok = l.label(vocabulary, code)
	}
	return ok
}

// CountryName returns the name of a country, its code when there is none.
func (l *Language) CountryName(code string) string {
	code = strings.ToUpper(code)
	if s, ok := l.file.Countries[code]; ok {
		return s
	}
	if s, ok := l.english.file.Countries[code]; ok {
		return s
	}
	return code
}

// CountryInText returns the name of a country as it reads inside a sentence:
// "the Netherlands".
func (l *Language) CountryInText(code string) string {
	if s, ok := l.InText[strings.ToUpper(code)]; ok {
		return s
	}
	return l.CountryName(code)
}

// LanguageName returns the name of the language with a BCP 47 tag ("de-AT" is
// German), the tag when there is none.
func (l *Language) LanguageName(tag string) string {
	for _, t := range []string{strings.ToLower(tag), base(tag)} {
		if s, ok := l.file.Languages[t]; ok {
			return s
		}
		if s, ok := l.english.file.Languages[t]; ok {
			return s
		}
	}
	return tag
}

func base(tag string) string {
	tag = strings.ToLower(tag)
	if i := strings.IndexAny(tag, "-_"); i > 0 {
		tag = tag[:i]
	}
	return tag
}

// Choice is a code and its name.
type Choice struct{ Code, Name string }

// CountryChoices returns all countries with a name, in the order of this language.
func (l *Language) CountryChoices() []Choice {
	return l.sorted(l.english.file.Countries, l.CountryName)
}

// LanguageChoices returns all languages with a name, in the order of this language.
func (l *Language) LanguageChoices() []Choice {
	return l.sorted(l.english.file.Languages, l.LanguageName)
}

func (l *Language) sorted(codes map[string]string, name func(string) string) []Choice {
	list := make([]Choice, 0, len(codes))
	for code := range codes {
		list = append(list, Choice{code, name(code)})
	}
	c := collate.New(l.plural) // not safe for many goroutines: one each time
	slices.SortFunc(list, func(a, b Choice) int {
		if d := c.CompareString(a.Name, b.Name); d != 0 {
			return d
		}
		return strings.Compare(a.Code, b.Code)
	})
	return list
}

// Date writes the day of t, in the zone that t carries.
func (l *Language) Date(t time.Time) string {
	return fill(l.file.Date, []any{"day", t.Day(), "month", l.Months[t.Month()-1], "year", t.Year()})
}

// MonthYear writes the month of t: "November 2026".
func (l *Language) MonthYear(t time.Time) string {
	return fill(l.file.MonthYear, []any{"month", l.MonthsAlone[t.Month()-1], "year", t.Year()})
}

// DateText writes a date that is given as "2026-11-23"; anything else is
// returned as it is.
func (l *Language) DateText(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return l.Date(t)
}

// Weekday returns the name of a day, counted from Monday = 0.
func (l *Language) Weekday(i int) string { return l.Days[((i%7)+7)%7] }

// WeekdayShort returns the short name of a day, counted from Monday = 0.
func (l *Language) WeekdayShort(i int) string { return l.DaysShort[((i%7)+7)%7] }

// Number writes a whole number with its thousands apart.
func (l *Language) Number(n int) string {
	s := strconv.Itoa(n)
	if n > -l.GroupFrom && n < l.GroupFrom {
		return s
	}
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + l.Group + s[i:]
	}
	return sign + s
}

// Join writes a list: "a, b and c".
func (l *Language) Join(items []string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + l.And + items[last]
}
