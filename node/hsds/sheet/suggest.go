package sheet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// guess is what columns of a field are called, in English, Polish, German and
// more, folded. A field of channels is given a position of its own each time.
type guess struct {
	field string
	names []string
}

// channel makes the field of a kind of channel.
func channel(kind string) string { return "channels#" + kind }

var guesses = []guess{
	{"#id", []string{"id", "lp", "l p", "nr", "no", "number", "numer", "nummer", "lfd nr", "kod", "code", "identyfikator", "identifier", "kennung", "external id", "regon", "krs", "eil nr", "cislo"}},
	{"name", []string{"name", "nazwa", "bezeichnung", "service", "service name", "nazwa uslugi", "nazwa placowki", "usluga", "angebot", "name des angebots", "title", "tytul", "titel", "pavadinimas", "nazev", "nome", "nom", "naam", "onoma", "namn", "navn", "nimi"}},
	{"organization.name", []string{"organization", "organisation", "organizacja", "nazwa organizacji", "podmiot", "podmiot prowadzacy", "instytucja", "trager", "traeger", "einrichtung", "provider", "operator", "anbieter", "prowadzacy", "organizacija", "organizace", "organizzazione", "organisatie"}},
	{"organization.operator_type", []string{"operator type", "organization type", "typ organizacji", "rodzaj podmiotu", "tragerart", "traegerart", "art des tragers"}},
	{"description", []string{"description", "opis", "beschreibung", "opis uslugi", "summary", "details", "aprasymas", "popis", "descrizione", "beschrijving"}},
	{"status", []string{"status", "stan", "zustand", "stav", "busena"}},
	{"url", []string{"website", "web", "url", "www", "strona", "strona www", "strona internetowa", "adres www", "webseite", "internetseite", "homepage", "link", "svetaine", "sito"}},
	{channel("phone"), []string{"phone", "telephone", "telefon", "tel", "numer telefonu", "nr telefonu", "telefonnummer", "rufnummer", "phone number", "telefon 1", "telefon 2", "phone 1", "phone 2", "telefon kontaktowy", "infolinia", "helpline", "hotline", "telefonas", "telefono", "telefoon", "komorka", "mobile", "handy"}},
	{channel("email"), []string{"email", "e mail", "mail", "poczta", "adres email", "adres e mail", "emailadresse", "e mail adresse", "el pastas"}},
	{channel("live_chat"), []string{"chat", "czat", "live chat"}},
	{"channels.0.languages", []string{"languages", "language", "jezyki", "jezyk", "sprachen", "sprache", "spoken languages", "kalbos", "jazyky", "lingue", "talen"}},
	{"channels.0.cost.value", []string{"cost", "costs", "koszt", "koszty", "kosten", "oplata", "odplatnosc", "price", "fee", "kaina"}},
	{"channels.0.anonymity.value", []string{"anonymity", "anonymous", "anonimowosc", "anonimowo", "anonimowy", "anonimowa", "czy anonimowo", "anonymitat", "anonymitaet", "anonym"}},
	{"audience", []string{"audience", "target group", "grupa docelowa", "zielgruppe", "odbiorcy", "dla kogo", "for whom", "adresaci", "tiksline grupe", "cilova skupina"}},
	{"service_types", []string{"service type", "type", "types", "rodzaj", "rodzaj uslugi", "typ uslugi", "art", "angebotsart", "typ", "forma pomocy", "service types"}},
	{"formats", []string{"format", "formats", "forma", "form"}},
	{"minimum_age", []string{"minimum age", "min age", "wiek od", "wiek minimalny", "mindestalter", "alter ab", "age from", "od lat"}},
	{"maximum_age", []string{"maximum age", "max age", "wiek do", "wiek maksymalny", "hochstalter", "alter bis", "age to", "do lat"}},
	{"coverage.countries", []string{"country", "countries", "kraj", "land", "lander", "panstwo", "salis", "zeme"}},
	{"coverage.regions", []string{"region code", "iso 3166 2"}},
	{"service_at_locations.1.location.addresses.1.address_1", []string{"address", "street", "adres", "ulica", "strasse", "adresse", "anschrift", "adresas", "adresa", "indirizzo", "adres pocztowy", "ulica i numer", "strasse und hausnummer"}},
	{"service_at_locations.1.location.addresses.1.city", []string{"city", "town", "miasto", "miejscowosc", "ort", "stadt", "miestas", "mesto", "citta", "plaats"}},
	{"service_at_locations.1.location.addresses.1.postal_code", []string{"postal code", "postcode", "zip", "kod pocztowy", "plz", "postleitzahl", "pasto kodas", "psc"}},
	{"service_at_locations.1.location.addresses.1.state_province", []string{"region", "province", "wojewodztwo", "bundesland", "state", "kraj wojewodztwo", "county"}},
	{"service_at_locations.1.location.latitude", []string{"latitude", "lat", "szerokosc", "szerokosc geograficzna", "breite", "breitengrad"}},
	{"service_at_locations.1.location.longitude", []string{"longitude", "lon", "lng", "long", "dlugosc", "dlugosc geograficzna", "lange", "langengrad"}},
	{"eligibility_description", []string{"eligibility", "warunki", "voraussetzungen", "kryteria", "kto moze skorzystac"}},
	{"application_process", []string{"how to apply", "application", "jak sie zglosic", "zgloszenie", "anmeldung", "zapisy"}},
	{"fees_description", []string{"fees", "oplaty", "gebuhren"}},
	{"schedules.1.description", []string{"opening hours", "hours", "open", "godziny", "godziny otwarcia", "godziny pracy", "godziny przyjec", "dyzury", "czynne", "oeffnungszeiten", "offnungszeiten", "sprechzeiten", "darbo laikas", "oteviraci doba", "orari", "orario", "openingstijden", "horaires", "aukioloajat", "apningstider", "oppettider"}},
	{"alert", []string{"alert", "komunikat", "hinweis"}},
	{"assured_date", []string{"checked", "last checked", "verified", "sprawdzono", "data sprawdzenia", "data aktualizacji", "gepruft am", "stand", "last verified", "assured date"}},
	{"internal_notes", []string{"notes", "note", "uwagi", "bemerkung", "bemerkungen", "anmerkung", "anmerkungen", "komentarz", "remarks", "pastabos", "poznamka"}},
}

// Suggest drafts a mapping from the header and the values of a table. It is a
// draft: a person reads it before it is used. Names are compared without case and
// accents; columns that are not recognised stand in it as comments. Of a long table the
// first rows are looked at. The error is that of reading.
func Suggest(t *Table, source string) ([]byte, error) {
	d := draft{t: t, used: map[string]bool{}}
	size := 0
	for l, err := range t.Lines() {
		if err != nil {
			return nil, err
		}
		for _, c := range l.Cells {
			size += len(c)
		}
		l.Cells = slices.Clone(l.Cells)
		if d.lines = append(d.lines, l); len(d.lines) == suggestLines || size > suggestBytes {
			break
		}
	}
	for i, h := range t.Header {
		if h != "" {
			d.column(i, h)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# How the columns of %s become listings. This is a draft: read it, correct it,
# then look at what it would do:  waymark listing import FILE --mapping THIS --dry-run
# The file was read as %s.

# Name of the source. Together with the id of a row it makes the identity of a
# listing: keep both the same for ever, and importing again changes what is there
# instead of adding it anew.
source = %s
`, comment(t.Name), comment(t.ReadAs), quote(source))
	if len(d.id) > 0 {
		fmt.Fprintf(&b, "id = [%s]\n", strings.Join(d.id, ", "))
	} else {
		b.WriteString("# id = [\"…\"]   # REQUIRED: the columns that tell one row from every other for ever\n")
	}
	b.WriteString(`
# blank = "clear"         # a blank cell empties its field; without this it leaves the field as it is
# encoding = "windows-1250"
# separator = ";"

# Values for every row, whatever its cells say. Below a position of a list they hold
# where the row says something of that position.
[fixed]
`)
	for _, f := range d.fixed {
		fmt.Fprintf(&b, "%s = %s\n", quote(f[0]), quote(f[1]))
	}
	if !d.used["organization.name"] {
		b.WriteString("# \"organization.name\" = \"…\"   # REQUIRED: who provides the services\n")
	}
	b.WriteString("\n# Values where nothing is said.\n[defaults]\n")
	b.WriteString("\"status\" = \"active\"\n")
	b.WriteString(d.b.String())
	return []byte(b.String()), nil
}

// How many lines of a table, and bytes of their cells, a draft is made from.
const (
	suggestLines = 5000
	suggestBytes = 16 << 20
)

type draft struct {
	t        *Table
	lines    []Line // the first
	b        strings.Builder
	used     map[string]bool
	id       []string
	fixed    [][2]string
	channels int

	placed, addressed bool
}

func (d *draft) column(i int, header string) {
	field := d.field(header)
	values := d.values(i)
	if field == "#id" {
		if len(d.id) == 0 && d.distinct(i) {
			d.id = append(d.id, quote(header))
			return
		}
		field = ""
	}
	if kind, ok := strings.CutPrefix(field, "channels#"); ok {
		d.channels++
		field = fmt.Sprintf("channels.%d.value", d.channels)
		d.fixed = append(d.fixed, [2]string{fmt.Sprintf("channels.%d.type", d.channels), kind})
	}
	if rest, ok := strings.CutPrefix(field, "channels.0."); ok {
		field = "channels.1." + rest // most often what all columns of the row are about
	}
	if field == "" || d.used[field] {
		fmt.Fprintf(&d.b, "\n# Not recognised, and left out unless you say what it means. The names of fields are the first row of a\n# workbook of waymark listing template. For example: %s\n# [[column]]\n# name = %s\n# field = \"…\"\n", comment(strings.Join(values[:min(3, len(values))], " | ")), quote(header))
		return
	}
	d.used[field] = true
	fmt.Fprintf(&d.b, "\n[[column]]\nname = %s\nfield = %s\n", quote(header), quote(field))
	if strings.Contains(field, ".location.") && !d.placed {
		d.placed = true
		d.fixed = append(d.fixed, [2]string{"service_at_locations.1.location.location_type", "physical"})
	}
	if strings.Contains(field, ".addresses.") && !d.addressed {
		d.addressed = true
		d.fixed = append(d.fixed, [2]string{"service_at_locations.1.location.addresses.1.address_type", "physical"})
	}
	f, err := ParseField(field)
	if err != nil {
		return // the test of the table of guesses
	}
	if field == "schedules.1.description" {
		d.b.WriteString("# Hours in words. To tell who is open now, give them as channels.1.hours.zone and\n# channels.1.hours.weekly.1.day, .opens and .closes, or in the pages for editors.\n")
	}
	switch f.kind {
	case texts:
		fmt.Fprintf(&d.b, "separator = %s\n", quote(listSeparator(values)))
	case number:
		d.numbers(f, values)
	}
	if f.vocabulary != "" && listing.Terms(f.vocabulary) != nil {
		d.vocabulary(f, values)
	}
}

// numbers adds the table of values that are no numbers, with the one number that
// stands in each.
func (d *draft) numbers(f Field, values []string) {
	head := "# These are no numbers. A value that is left empty is left out.\n[column.values]\n"
	for _, v := range values {
		if _, err := f.read(v, ";", d.t.raw); err == nil {
			continue
		}
		n := ""
		if found := strings.FieldsFunc(v, func(r rune) bool { return r < '0' || r > '9' }); len(found) == 1 {
			n = found[0]
		}
		fmt.Fprintf(&d.b, "%s%s = %s\n", head, quote(v), quote(n))
		head = ""
	}
}

// vocabulary adds the table of values that are neither codes nor labels.
func (d *draft) vocabulary(f Field, values []string) {
	c := Column{Field: f.name, field: f}
	var unknown []string
	for _, v := range values {
		parts := []any{v}
		if f.kind == texts {
			if list, err := readList(v, listSeparator(values)); err == nil {
				parts = list.([]any)
			}
		}
		for _, p := range parts {
			s := strings.TrimSpace(p.(string))
			if _, err := c.code(s); err != nil && !slices.ContainsFunc(unknown, func(u string) bool { return fold(u) == fold(s) }) {
				unknown = append(unknown, s)
			}
		}
	}
	if len(unknown) == 0 {
		return
	}
	fmt.Fprintf(&d.b, "# Codes: %s.\n# A value that is left empty is left out.\n[column.values]\n", strings.Join(listing.Terms(f.vocabulary), ", "))
	for _, u := range unknown[:min(len(unknown), 40)] {
		fmt.Fprintf(&d.b, "%s = \"\"\n", quote(u))
	}
}

// field recognises a header.
func (d *draft) field(header string) string {
	if _, err := ParseField(header); err == nil && strings.Contains(header, ".") {
		return header
	}
	h := fold(header)
	for _, g := range guesses {
		if slices.Contains(g.names, h) && !d.used[g.field] {
			return g.field
		}
	}
	for _, g := range guesses[1:] {
		for _, n := range g.names {
			if len(n) > 3 && (strings.HasPrefix(h, n+" ") || strings.HasSuffix(h, " "+n)) && !d.used[g.field] {
				return g.field
			}
		}
	}
	return ""
}

// values are the different values of a column, in order; a few hundred at most.
func (d *draft) values(i int) []string {
	var out []string
	seen := map[string]bool{}
	for _, l := range d.lines {
		if v := cell(l, i); v != "" && !seen[v] && len(out) < 300 {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// distinct tells whether every row has a value of its own in a column.
func (d *draft) distinct(i int) bool {
	seen := map[string]bool{}
	for _, l := range d.lines {
		v := cell(l, i)
		if v == "" || seen[v] {
			return false
		}
		seen[v] = true
	}
	return len(seen) > 0
}

// listSeparator is what separates the values of a list most often.
func listSeparator(values []string) string {
	best, most := ";", 0
	for _, s := range []string{";", ",", "|", "/"} {
		n := 0
		for _, v := range values {
			n += strings.Count(v, s)
		}
		if n > most {
			best, most = s, n
		}
	}
	return best
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// comment makes a text fit for one line of a comment.
func comment(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
