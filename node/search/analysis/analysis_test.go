package analysis_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search/analysis"
)

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"Łódź, Ørsted; ħobż": "lodz orsted hobz", "Straße ÆON œuvre ığdır": "strasse aeon oeuvre igdir",
		"ΒΟΉΘΕΙΑ βοήθειας": "βοηθεια βοηθειασ", "l'écoute": "l ecoute", "zaz\u0307o\u0301\u0142c\u0301": "zazolc",
		"nord\u00adlicht he\u200blp he\u202elp": "nordlicht help help", "ﬃ ²": "ffi 2", "a\xffb": "a b", "": "", "–!?": "",
	} {
		if got := strings.Join(analysis.Fold(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLanguages(t *testing.T) {
	for tag, want := range map[string]string{"de-AT": "de", "nb": "no", "nn-NO": "no", "EL": "el", "mt_MT": "mt", "xx": "", "": ""} {
		if got := analysis.Find(tag).String(); got != want {
			t.Errorf("%q is %q, want %q", tag, got, want)
		}
	}
	if len(analysis.Languages()) != analysis.Count || !slices.IsSorted(analysis.Languages()) {
		t.Errorf("the languages are %v", analysis.Languages())
	}
}

// TestParts takes compounds apart. A native speaker can mend the table: the
// word, then the words whose stems are its parts; "-" for none.
func TestParts(t *testing.T) {
	for lang, table := range map[string]string{
		"de": `Beratungsstelle=Beratung+Stelle Beratungsstellen=Beratung+Stelle Hilfetelefon=Hilfe+Telefon Selbsthilfegruppe=selbst+Hilfe+Gruppe
			Krankenkasse=kranken+Kasse Angehörigenberatung=Angehörige+Beratung Wohnungsberatung=wohnung+Beratung Beratung=- Verhaltens=- Nordlicht=-`,
		"nl": `hulplijn=hulp+lijn hulplijnen=hulp+lijn zelfhulpprogramma=zelf+hulp+programma jongerenchat=jongeren+chat crisislijn=crisis+lijn verzekering=-`,
		"sv": `hjälplinje=hjälp+linje hjälplinjen=hjälp+linje självhjälpsprogrammet=själv+hjälp+programm behandlingsmottagningen=behandling+mottagning`,
		"no": `hjelpelinje=hjelp+linje hjelpetelefonen=hjelp+telefon samtalegruppen=samtale+gruppe selvhjelpsprogrammet=selv+hjelp+programm`,
		"fi": `auttavapuhelin=auttava+puhelin tukipuhelimeen=tuki+puhelin tukiryhmä=tuki+ryhmä nuortenchat=nuorten+chat`,
		"pl": `telefonicznego=-`,
	} {
		l := analysis.Find(lang)
		for _, pair := range strings.Fields(table) {
			word, list, _ := strings.Cut(pair, "=")
			var want []string
			for _, part := range strings.Split(strings.Trim(list, "-"), "+") {
				for _, w := range analysis.Fold(part) {
					want = append(want, l.Stem(w))
				}
			}
			if got := l.Parts(analysis.Fold(word)[0]); !slices.Equal(got, want) {
				t.Errorf("%s: the parts of %s are %v, want %v", lang, word, got, want)
			}
		}
	}
}

// TestConceptsMeetAcrossLanguages: words of all languages for one thing are
// filed under one term.
func TestConceptsMeetAcrossLanguages(t *testing.T) {
	for _, line := range []string{
		"en:helpline de:Hilfetelefon sv:hjälplinje no:hjelpelinje nl:hulplijn fi:auttavapuhelin pl:infolinia",
		"en:therapist pl:leczenie de:Psychologe it:cura el:ψυχολόγος cs:léčby nl:behandeling fr:thérapeutes lt:gydymas no:psykologer sv:behandlingar fi:hoidon mt:kura",
		"en:anonymous pl:anonimowego de:anonymen cs:anonymního el:ανώνυμα lt:anonimiškai fi:nimettömästi mt:anonima",
		"en:crisis pl:samobójstwo de:Selbstmord fr:suicide fi:itsemurha sv:självmord",
	} {
		first := ""
		for _, tagged := range strings.Fields(line) {
			tag, word, _ := strings.Cut(tagged, ":")
			got := analysis.Find(tag).Concepts(analysis.Fold(word)[0])
			if len(got) == 0 || first != "" && !slices.Contains(got, first) {
				t.Errorf("%s names %v, want %q", tagged, got, first)
			} else if first == "" {
				first = got[0]
			}
		}
	}
	n, keys := analysis.Find("pl").Phrase(analysis.Fold("telefonie zaufania dla rodziców"))
	if n != 2 || !slices.Equal(keys, analysis.Find("en").Concepts("helpline")) {
		t.Errorf("the phrase has %d words and names %q", n, keys)
	}
	if n, _ := analysis.Find("pl").Phrase([]string{"telefon"}); n != 0 {
		t.Error("one word is taken for a phrase")
	}
}

// TestConceptTables: every language has the same concepts in the same form.
func TestConceptTables(t *testing.T) {
	names := func(lang string) (out []string) {
		f, err := os.Open("texts/concepts/" + lang + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "#") {
				continue
			}
			name, words, ok := strings.Cut(lines.Text(), ": ")
			if !ok || strings.TrimSpace(words) == "" {
				t.Errorf("%s: %q is no line of a concept", lang, lines.Text())
			}
			if slices.Contains(out, name) {
				t.Errorf("%s: the concept %s is there twice", lang, name)
			}
			for _, w := range strings.Fields(words) {
				if len(analysis.Fold(w)) == 0 {
					t.Errorf("%s: %s: %q is no word", lang, name, w)
				}
			}
			out = append(out, name)
		}
		slices.Sort(out)
		return out
	}
	want := names("en")
	for _, lang := range analysis.Languages() {
		if got := names(lang); !slices.Equal(got, want) {
			t.Errorf("%s has the concepts %v, want %v", lang, got, want)
		}
	}
}

func TestIdleAndStop(t *testing.T) {
	for _, c := range []struct {
		lang, word string
		stop, idle bool
	}{
		{"en", "the", true, true}, {"en", "help", false, true}, {"en", "therapy", false, false}, {"en", "m", false, true}, {"en", "7", false, false},
		{"pl", "szukam", false, true}, {"xx", "the", false, false}, {"xx", "l", false, true}, {"de", "hilfe", false, true},
	} {
		l := analysis.Find(c.lang)
		if l.Stop(c.word) != c.stop || l.Idle(c.word) != c.idle {
			t.Errorf("%s %s: stop %v, idle %v", c.lang, c.word, l.Stop(c.word), l.Idle(c.word))
		}
	}
}

func TestSpelled(t *testing.T) {
	if w, ok := analysis.Spelled("Dla młodzieży i RODZICÓW", "rodzicow"); !ok || w != "RODZICÓW" {
		t.Errorf("%q %v", w, ok)
	}
	if w, ok := analysis.Spelled("nic", "rodzicow"); ok || w != "" {
		t.Errorf("%q %v", w, ok)
	}
}

// FuzzText takes any bytes for a text: its words are valid, bounded and folded
// already, and stand where they are said to stand.
func FuzzText(f *testing.F) {
	for _, s := range []string{"Łódź straße ΒΟΉΘΕΙΑ", "\xff\xfe\x00", "ﬃİǆ½", strings.Repeat("ж", 200), "a\u0301\u200d\u202eb", "ﷺ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		analysis.Spans(text, func(w []byte, from, to int) {
			if len(w) == 0 || len(w) > analysis.MaxWordBytes || !utf8.Valid(w) || from < last || to <= from || to > len(text) {
				t.Fatalf("%q: the word %q from %d to %d", text, w, from, to)
			}
			last = to
			if again := analysis.Fold(string(w)); len(again) != 1 || again[0] != string(w) {
				t.Fatalf("%q folds to %q, and that to %q", text, w, again)
			}
		})
	})
}

// FuzzTerms takes any word through every language: terms are bounded, distinct
// and behind the mark of derived terms; a stem is no longer than its word.
func FuzzTerms(f *testing.F) {
	for _, w := range []string{"beratungsstellen", "terapia", "ecec", "ieieie", "σσσ", "aaaaaaaaaaaaaaaa", "ζωησ", "linjelinjelinjelinjelinje", "ssss", "hilfehilfehilfehilfehilfehilfehilfehilfe"} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, word := range analysis.Fold(text) {
			for l := range analysis.Language(analysis.Count) {
				stem := l.Stem(word)
				if stem == "" || len(stem) > len(word) || !utf8.ValidString(stem) {
					t.Fatalf("%s: %q has the stem %q", l, word, stem)
				}
				var keys []string
				l.Terms(word, func(key string) { keys = append(keys, key) })
				if len(keys) > analysis.MaxTerms {
					t.Fatalf("%s: %q has %d terms", l, word, len(keys))
				}
				for i, k := range keys {
					if !strings.HasPrefix(k, analysis.Derived) || len(k) > 2*analysis.MaxWordBytes || slices.Contains(keys[:i], k) {
						t.Fatalf("%s: %q has the terms %q", l, word, keys)
					}
				}
				for _, p := range l.Parts(word) {
					if len(p) < 2 || len(p) >= len(word) {
						t.Fatalf("%s: %q has the parts %q", l, word, l.Parts(word))
					}
				}
			}
		}
	})
}

// TestKin: forms that the stemmers leave apart name what their word names, and
// words that only begin alike do not.
func TestKin(t *testing.T) {
	for _, c := range []struct {
		lang, word, concept string
	}{
		{"el", "ψυχοθεραπευτησ", "therapy"}, {"pl", "psychoterapeutka", "therapy"}, {"cs", "psychoterapeutka", "therapy"},
		{"en", "ther", ""}, {"en", "theremin", ""}, {"pl", "terakota", ""}, {"en", "", ""},
	} {
		got := analysis.Find(c.lang).Kin(c.word)
		if want := analysis.Derived + "=" + c.concept; c.concept != "" && !slices.Contains(got, want) || c.concept == "" && len(got) > 0 {
			t.Errorf("%s %q: %q, want %q", c.lang, c.word, got, c.concept)
		}
	}
	if got := analysis.Unknown.Kin("therapist"); got != nil {
		t.Errorf("of no language: %q", got)
	}
}
