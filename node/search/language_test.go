package search_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/search"
)

// Each line: the word in the text, then words that must find it. A native
// speaker can mend this table without reading Go.
var inflections = map[string]string{
	"pl": `
		terapia: terapii terapię terapią terapie
		porada: porady poradę porad poradami
		anonimowy: anonimowa anonimowego anonimowych anonimowo ANONIMOWY
		młodzież: młodzieży mlodziez młodzieżą
		rodzice: rodziców rodzicom rodzicami rodzic
		dziecko: dzieci dziecka dzieciom dziećmi
		telefon: telefonu telefonem telefonów telefony
		myśli: myślami mysli myśl myślach
		możliwość: możliwości mozliwosc możliwościami
		poradnia: poradni poradnię poradniach
		przypadek: przypadku przypadki przypadków`,
	"cs": `
		pomoc: pomoci pomocí POMOC
		linka: linky linku lince linek linkou
		poradna: poradny poradnu poraden poradně poradnou
		léčba: léčby léčbu lecba léčbě
		rodiče: rodičů rodičům rodici rodič
		dítě: děti dětí dětem dětmi dite
		anonymní: anonymního anonymním anonymni
		telefon: telefonu telefony telefonem telefonů
		problém: problému problémy problémů
		otec: otce otci otcem`,
	"lt": `
		pagalba: pagalbos pagalbai pagalbą pagalboje pagalbų
		vaikas: vaiko vaikai vaikų vaikams vaikui
		tėvai: tėvų tėvams tevai tėvus
		linija: linijos liniją linijoje linijų
		anoniminė: anoniminės anoniminę anoniminis anonimine
		skambutis: skambučio skambučiai skambučių
		žodis: žodžio žodžiai zodis
		konsultacija: konsultacijos konsultacijų konsultacijoms
		nemokamas: nemokama nemokamai nemokamos`,
	"el": `
		βοήθεια: βοήθειας βοηθεια ΒΟΗΘΕΙΑ
		γραμμή: γραμμής γραμμές γραμμών γραμμη
		παιδί: παιδιά παιδιού παιδιών
		γονείς: γονέας γονέων γονεις
		ανώνυμη: ανώνυμα ανώνυμος ανώνυμο ανωνυμη
		υπηρεσία: υπηρεσίες υπηρεσιών υπηρεσίας
		σύμβουλος: συμβούλου σύμβουλοι ΣΥΜΒΟΥΛΟΣ
		πρόβλημα: προβλήματος προβλήματα προβλημάτων
		σκέψεις: σκέψη σκέψεων σκέψης`,
	"mt": `
		għajnuna: ghajnuna l-għajnuna għajnuniet
		servizz: servizzi is-servizz
		terapija: terapiji
		linja: linji linjiet
		anonimu: anonima anonimi
		ġenitur: ġenituri genituri
		ħsieb: ħsibijiet hsieb
		tifel: tfal tifla
		problema: problemi`,
	"de": `
		Therapie: Therapien therapie
		Ängste: Angst angste Ängsten
		Gedanken: Gedanke gedanken
		Straße: Strasse strasse Straßen
		anonym: anonyme anonymen anonymes
		Gespräch: Gespräche gesprach Gespraech`,
	"en": `
		therapy: therapies
		thoughts: thought
		counselling: counsel
		child: child's
		worries: worry worried`,
	"fr": `
		thérapie: thérapies therapie
		enfant: enfants l'enfant
		pensées: pensee pensées
		gratuite: gratuit gratuits
		écoute: ecoute d'écoute écoutes`,
	"it": `
		terapia: terapie
		bambini: bambino bambina
		anonimo: anonima anonimi
		attività: attivita
		pensieri: pensiero`,
	"nl": `
		gedachten: gedachte
		gesprek: gesprekken
		ouders: ouder
		anoniem: anonieme`,
	"no": `
		tanker: tanke tankene
		foreldre: foreldrene
		hjelpen: hjelp
		rådgivning: radgivning rådgivningen
		følelser: folelser følelsene`,
	"sv": `
		tankar: tanken tankarna
		föräldrar: foraldrar föräldrarna
		hjälpen: hjälp hjalp
		samtal: samtalet samtalen`,
	"fi": `
		ajatukset: ajatus ajatuksia
		lapset: lapsi lapsen
		puhelin: puhelimen
		vanhemmat: vanhempi vanhempien
		nimetön: nimeton nimettömän
		terapia: terapiaa terapian`,
}

func TestInflectionsFindEachOther(t *testing.T) {
	for _, lang := range search.Languages() {
		table, ok := inflections[lang]
		if !ok {
			t.Errorf("no table for %s", lang)
		}
		for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
			written, asked, _ := strings.Cut(strings.TrimSpace(line), ":")
			x := newIndex(t, search.Doc{ID: "1", Country: "XX", Texts: []search.Text{{Language: lang, Text: "nnnn " + written + " mmmm"}}})
			for _, q := range strings.Fields(asked) {
				a := ask(t, x, search.Query{Text: q + " mmmm", Language: lang})
				if a.Total != 1 || a.Matched != a.Words || len(a.Corrected) > 0 {
					t.Errorf("%s: %q does not find %q (total %d, %d of %d words, typos %v)", lang, q, written, a.Total, a.Matched, a.Words, a.Corrected)
				}
				// The language of the page ranks, it is never a wall.
				if a := ask(t, x, search.Query{Text: q + " mmmm", Language: "en"}); a.Total != 1 || a.Matched == 0 {
					t.Errorf("%s: %q asked on an English page finds nothing", lang, q)
				}
			}
		}
	}
}

func TestDifferentWordsStayApart(t *testing.T) {
	for _, c := range []struct{ lang, written, asked string }{
		{"pl", "porada", "pora"}, {"pl", "terapia", "teren"}, {"cs", "linka", "lina"}, {"cs", "pomoc", "pomník"},
		{"lt", "pagalba", "pagalvė"}, {"el", "γραμμή", "γράμμα"}, {"mt", "servizz", "servi"}, {"de", "Beratung", "Bericht"},
	} {
		x := newIndex(t, search.Doc{ID: "1", Country: "XX", Texts: []search.Text{{Language: c.lang, Text: c.written}}})
		if a := ask(t, x, search.Query{Text: `"` + c.asked + `"`, Language: c.lang}); a.Total != 0 {
			t.Errorf("%s: %q finds %q in quotes", c.lang, c.asked, c.written)
		}
	}
}

func TestTextForms(t *testing.T) {
	x := newIndex(t,
		search.Doc{ID: "chat", Country: "PL", Texts: []search.Text{{Language: "pl", Weight: search.WeightName, Text: "Anonimowy czat Łódź"}, {Language: "en", Text: "Write with a counsellor, day and night"}}},
		search.Doc{ID: "line", Country: "DE", Texts: []search.Text{{Language: "de", Weight: search.WeightName, Text: "Beratungsstelle Nordlicht"}, {Language: "de", Text: "Hilfe für Eltern und Angehörige, Telefon 116 111"}}},
	)
	for _, c := range []struct {
		name, text, lang string
		want             string
	}{
		{"missing marks", "lodz", "pl", "chat"},
		{"decomposed marks", "ŁO\u0301DZ\u0301", "pl", "chat"},
		{"one wrong letter", "nordlcht", "de", "line"},
		{"two swapped letters", "cazt", "pl", "chat"},
		{"two mistakes in a long word", "beratunsstele", "de", "line"},
		{"beginning of the last word", "nordlicht berat", "de", "line"},
		{"beginning of an earlier word is no match", "berat nordlicht", "de", "line"}, // relaxed to one word
		{"another language of the same listing", "night", "pl", "chat"},
		{"a word that means the same in another language", "counselling", "pl", "chat line"},
		{"the words of two languages", "czat counsellor", "en", "chat"},
		{"stop words do not count", "hilfe für die eltern", "de", "line"},
		{"a number", "116 111", "de", "line"},
		{"phrase", `"day and night"`, "en", "chat"},
		{"phrase in German quotes", `„Eltern und Angehörige“`, "de", "line"},
		{"phrase in the wrong order", `"night and day"`, "en", ""},
		{"phrase over two fields", `"łódź write"`, "en", ""},
		{"a soft hyphen inside a word", "nord\u00adlicht", "de", "line"},
		{"half of the words", "nordlicht zzzzqqqq", "de", "line"},
		{"no word at all", "!?… ---", "de", "chat line"},
	} {
		if got := strings.Join(found(t, x, search.Query{Text: c.text, Language: c.lang}), " "); got != c.want {
			t.Errorf("%s: %q finds %q, want %q", c.name, c.text, got, c.want)
		}
	}
	if a := ask(t, x, search.Query{Text: "nordlicht zzzzqqqq", Language: "de"}); a.Words != 2 || a.Matched != 1 || a.Hits[0].Why[len(a.Hits[0].Why)-1] != search.WhySomeWords {
		t.Errorf("an answer with some of the words does not say so: %+v", a)
	}
	if a := ask(t, x, search.Query{Text: "nordlcht", Language: "de"}); len(a.Corrected) != 1 || a.Corrected[0] != (search.Correction{Asked: "nordlcht", Meant: "nordlicht"}) {
		t.Error("an answer that forgives a mistake does not say so")
	}
}

// Words that only listings in other languages have all of must not keep from
// the reader what they can read.
func TestOwnLanguageIsNeverCrowdedOut(t *testing.T) {
	x := newIndex(t,
		search.Doc{ID: "own", Country: "IT", Languages: []string{"it"}, Texts: []search.Text{{Language: "it", Text: "Linea per chi pensa al suicidio"}}},
		search.Doc{ID: "far", Country: "FI", Languages: []string{"fi"}, Texts: []search.Text{{Language: "fi", Text: "itsemurha ja ajatukset"}}},
	)
	if a := ask(t, x, search.Query{Text: "pensieri suicidio", Language: "it"}); len(a.Hits) != 2 || a.Hits[0].ID != "own" || a.Matched != 1 {
		t.Errorf("found %+v, want own, then far", a.Hits)
	}
	if got := found(t, x, search.Query{Text: "pensieri suicidio", Language: "mt"}); strings.Join(got, " ") != "far" {
		t.Errorf("found %v where nobody speaks the language, want far", got)
	}
}

func TestLabelsOfAllLanguagesFind(t *testing.T) {
	x := newIndex(t,
		search.Doc{ID: "a", Country: "PL", Texts: []search.Text{{Language: "pl", Text: "Linia wsparcia"}}, Facets: map[search.Facet][]string{search.Anonymity: {"full"}, search.Channel: {"live_chat"}}},
		search.Doc{ID: "b", Country: "PL", Texts: []search.Text{{Language: "pl", Text: "Linia wsparcia"}}, Facets: map[search.Facet][]string{search.Channel: {"phone"}}},
	)
	x.SetLabels([]search.Label{
		{Facet: search.Anonymity, Code: "full", Language: "en", Text: "Anonymous"},
		{Facet: search.Anonymity, Code: "full", Language: "lt", Text: "Anonimiškai"},
		{Facet: search.Channel, Code: "live_chat", Language: "en", Text: "Chat"},
		{Facet: search.Channel, Code: "live_chat", Language: "de", Text: "in Echtzeit schreiben"},
		{Facet: search.Freshness, Code: "fresh", Language: "en", Text: "Linia"},
	})
	for _, text := range []string{"anonymous chat", "anonimiška chat", "chats anonymous linia", "schreiben in der Echtzeit"} {
		if got := found(t, x, search.Query{Text: text, Language: "en"}); len(got) != 1 || got[0] != "a" {
			t.Errorf("%q finds %v, want a", text, got)
		}
	}
}

// What kind of service it is has labels too, which count where no listing says
// the word; it is no facet to filter by.
func TestLabelsOfServiceTypesFind(t *testing.T) {
	x := newIndex(t,
		search.Doc{ID: "a", Country: "PL", Texts: []search.Text{{Language: "pl", Text: "Latarnia"}}, Facets: map[search.Facet][]string{search.ServiceType: {"x-garden"}}},
		search.Doc{ID: "b", Country: "PL", Texts: []search.Text{{Language: "pl", Text: "Latarnia"}}, Facets: map[search.Facet][]string{search.ServiceType: {"x-other"}}},
	)
	x.SetLabels([]search.Label{
		{Facet: search.ServiceType, Code: "x-garden", Language: "en", Text: "Gardening"},
		{Facet: search.ServiceType, Code: "x-garden", Language: "de", Text: "Gartenarbeit"},
		{Facet: search.ServiceType, Code: "x-other", Language: "de", Text: "Latarnia"},
	})
	for text, want := range map[string]string{"gardening": "a", "Gartenarbeit": "a", "latarnia": "a b"} {
		if got := found(t, x, search.Query{Text: text, Language: "en"}); strings.Join(got, " ") != want {
			t.Errorf("%q finds %v, want %s", text, got, want)
		}
	}
	if _, err := x.Search(t.Context(), search.Query{Facets: map[string][]string{"service_type": {"x-garden"}}}); !errors.Is(err, search.ErrUnknownFacet) {
		t.Errorf("as a filter: %v", err)
	}
}

// What serves those who speak a language can be used from everywhere by whoever
// asks in it, and by nobody else but from where it is.
func TestLanguageCommunitiesUseFromEverywhere(t *testing.T) {
	x := newIndex(t,
		search.Doc{ID: "abroad", Country: "PL", Languages: []string{"pl"}, Communities: []string{"pl-PL"}},
		search.Doc{ID: "home", Country: "PL", Languages: []string{"pl"}},
	)
	for _, tt := range []struct {
		q    search.Query
		want string
	}{
		{search.Query{UsableFrom: []string{"IE"}, Language: "pl"}, "abroad"},
		{search.Query{UsableFrom: []string{"IE"}, Languages: []string{"pl"}}, "abroad"},
		{search.Query{UsableFrom: []string{"IE"}, Language: "lt"}, ""},
		{search.Query{UsableFrom: []string{"IE"}}, ""},
		{search.Query{UsableFrom: []string{"PL"}, Language: "lt"}, "abroad home"},
	} {
		if got := found(t, x, tt.q); strings.Join(got, " ") != tt.want {
			t.Errorf("%+v finds %v, want %s", tt.q, got, tt.want)
		}
	}
	if a := ask(t, x, search.Query{From: "IE", Language: "pl"}); a.Hits[0].ID != "abroad" || !slices.Contains(a.Hits[0].Why, search.WhyUsable) || slices.Contains(a.Hits[1].Why, search.WhyUsable) {
		t.Errorf("from abroad: %+v", a.Hits)
	}
}

// TestFewWithAllWords: words that no listing has ask for nothing; and where fewer than
// ten listings in the language of the page have both of two words, those with one
// follow, behind those with both, and say so.
func TestFewWithAllWords(t *testing.T) {
	var docs []search.Doc
	for i, text := range []string{"rendezvous lantern", "rendezvous", "lantern", "harbour"} {
		docs = append(docs, search.Doc{ID: strconv.Itoa(i), Country: "GB", Languages: []string{"en"}, Texts: []search.Text{{Language: "en", Text: text}}})
	}
	x := newIndex(t, docs...)
	for _, c := range []struct {
		text    string
		want    string
		matched int
	}{
		{"rendezvous lantern", "0 1 2", 1},
		{"lantern rendezvous zzqqyyxxww", "0 1 2", 1},
		{"harbour zzqqyyxxww", "3", 1},
		{"zzqqyyxxww vvttrrppnn", "", 0},
	} {
		a := ask(t, x, search.Query{Text: c.text, Language: "en"})
		if got := strings.Join(ids(a), " "); got != c.want || a.Matched != c.matched {
			t.Errorf("%q finds %q, each with %d words; want %q, %d", c.text, got, a.Matched, c.want, c.matched)
		}
	}
	for i := range 10 { // enough have both
		docs = append(docs, search.Doc{ID: "more" + strconv.Itoa(i), Country: "GB", Languages: []string{"en"}, Texts: docs[0].Texts})
	}
	if a := ask(t, newIndex(t, docs...), search.Query{Text: "rendezvous lantern", Language: "en"}); a.Total != 11 || a.Matched != 2 {
		t.Errorf("%d with %d words are found, want the 11 with both", a.Total, a.Matched)
	}
}
