package sheet

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// kind is what a field holds.
type kind uint8

const (
	text   kind = iota
	number      // decimal
	yesNo
	texts // a list, in one cell
)

// Field is a place in a listing that a column can carry, such as "name",
// "organization.name" or "channels.2.value": the positions of lists count from 1.
type Field struct {
	name       string
	steps      []step
	kind       kind
	vocabulary string // its codes; empty for any text
	own        bool   // of a table that we wrote: what is no date or address went out as it is, and comes back
}

// step is a field of an object or, with at > 0, a position in a list.
type step struct {
	name string
	at   int
}

// maxPosition bounds the positions in a list.
const maxPosition = 100

// ParseField reads the name of a field. The error says what there is instead.
func ParseField(name string) (Field, error) {
	f := Field{name: name}
	t := reflect.TypeFor[listing.Listing]()
	var bare []string // without positions
	for _, part := range strings.Split(name, ".") {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Struct:
			inner, ok := property(t, part)
			if !ok {
				return Field{}, fmt.Errorf("there is no field %q (at %q); a listing has, for example, name, organization.name, channels.1.value", name, part)
			}
			t = inner
			bare = append(bare, part)
			f.steps = append(f.steps, step{name: part})
		case reflect.Map:
			t = t.Elem()
			bare = append(bare, "*")
			f.steps = append(f.steps, step{name: part})
		case reflect.Slice:
			at, err := strconv.Atoi(part)
			if err != nil || at < 1 || at > maxPosition || t.Elem().Kind() == reflect.String || strconv.Itoa(at) != part {
				return Field{}, fmt.Errorf("the field %q is a list: want a position from 1 to %d in place of %q (%s.1…)", name, maxPosition, part, strings.Join(bare, "."))
			}
			t = t.Elem()
			f.steps = append(f.steps, step{at: at})
		default:
			return Field{}, fmt.Errorf("the field %q has nothing below it at %q", name, part)
		}
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.String:
		f.kind = text
	case t.Kind() == reflect.Float64 || t.Kind() == reflect.Int:
		f.kind = number
	case t.Kind() == reflect.Bool:
		f.kind = yesNo
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		f.kind = texts
	case t.Kind() == reflect.Slice:
		return Field{}, fmt.Errorf("the field %q is a list; name the position and the field in it (%s.1.…)", name, name)
	default:
		return Field{}, fmt.Errorf("the field %q has fields of its own; name one of them (%s.…)", name, name)
	}
	f.vocabulary = codes[strings.Join(bare, ".")]
	return f, nil
}

func property(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			if inner, ok := property(f.Type, name); ok {
				return inner, true
			}
			continue
		}
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && tag != "" && f.IsExported() {
			return f.Type, true
		}
	}
	return nil, false
}

// codes are the vocabularies of fields, by name without positions.
var codes = map[string]string{
	"status": listing.VocabularyStatus, "kind": listing.VocabularyKind, "visibility": listing.VocabularyVisibility,
	"audience": listing.VocabularyAudience, "service_types": listing.VocabularyServiceType,
	"formats": listing.VocabularyFormat, "settings": listing.VocabularySetting, "gender": listing.VocabularyGender,
	"prevention_levels": listing.VocabularyPreventionLevel, "objectives": listing.VocabularyObjective,
	"evidence": listing.VocabularyEvidence, "referral": listing.VocabularyReferral,
	"capacity_status.value": listing.VocabularyCapacity, "waiting.value": listing.VocabularyWaiting,
	"topic_acceptance.value": listing.VocabularyTopicAcceptance, "address_precision": listing.VocabularyPrecision,
	"organization.operator_type": listing.VocabularyOperatorType, "verification.method": listing.VocabularyMethod,
	"channels.type": listing.VocabularyChannel, "channels.number_kind": listing.VocabularyNumberKind,
	"channels.status": listing.VocabularyChannelStatus, "channels.cost.value": listing.VocabularyCost,
	"channels.anonymity.value": listing.VocabularyAnonymity, "channels.breach.conditions": listing.VocabularyBreach,
	"service_at_locations.location.location_type": listing.VocabularyLocationType,

	"channels.languages": languageNames, "coverage.countries": countryNames, "channels.free_from": countryNames,
}

// last is the name of the innermost field.
func (f Field) last() string { return f.steps[len(f.steps)-1].name }

// telephone tells whether the field holds a telephone number, or may.
func (f Field) telephone() bool {
	return len(f.steps) >= 3 && (f.last() == "number" && f.steps[len(f.steps)-3].name == "phones" ||
		f.last() == "value" && f.steps[len(f.steps)-3].name == "channels")
}

func (f Field) date() bool {
	switch f.last() {
	case "assured_date", "alert_until", "as_of", "date", "next_due", "valid_from", "valid_to", "defunct_since", "funding_until", "dtstart", "until":
		return true
	}
	return false
}

// address tells whether the field holds the address of a page.
func (f Field) address() bool {
	switch f.last() {
	case "url", "uri", "website", "logo", "source", "source_url", "schedule_link":
		return f.kind == text && (f.last() != "source" || len(f.steps) == 1)
	}
	return false
}

func (f Field) clock() bool {
	switch f.last() {
	case "opens", "closes", "opens_at", "closes_at":
		return true
	}
	return false
}

// compare orders fields so that list positions come in their order.
func (f Field) compare(g Field) int {
	return slices.CompareFunc(f.steps, g.steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.at, b.at))
	})
}

// get returns what stands in a document, nil when nothing does.
func (f Field) get(d map[string]any) any {
	var v any = d
	for _, s := range f.steps {
		if s.at == 0 {
			m, _ := v.(map[string]any)
			v = m[s.name]
			continue
		}
		list, _ := v.([]any)
		if s.at > len(list) {
			return nil
		}
		v = list[s.at-1]
	}
	return v
}

// show writes a value as a cell says it; empty for what a cell cannot carry.
func (f Field) show(v any, separator string) string {
	switch t := v.(type) {
	case string:
		if f.kind == text {
			return t
		}
	case bool:
		if f.kind == yesNo {
			return map[bool]string{true: "yes", false: "no"}[t]
		}
	case int64:
		if f.kind == number {
			return strconv.FormatInt(t, 10)
		}
	case float64:
		if f.kind == number {
			return strconv.FormatFloat(t, 'f', -1, 64)
		}
	case []any:
		if f.kind != texts {
			return ""
		}
		parts := make([]string, len(t))
		for i, x := range t {
			s, ok := x.(string)
			if !ok || strings.TrimSpace(s) == "" {
				return ""
			}
			if strings.ContainsAny(s, separator+"\"\n\r") || s != strings.TrimSpace(s) {
				s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
			}
			parts[i] = s
		}
		return strings.Join(parts, separator+" ")
	}
	return ""
}

// read makes a value of a cell that is not blank. The error is for a person.
func (f Field) read(cell, separator string, raw bool) (any, error) {
	switch f.kind {
	case number:
		n, err := strconv.ParseFloat(strings.Replace(cell, ",", ".", 1), 64)
		if err != nil || strings.Trim(cell, "0123456789+-.,eE") != "" {
			return nil, fmt.Errorf("want a number, have %.40q", cell)
		}
		if i := int64(n); float64(i) == n && max(n, -n) < 1<<53 {
			return i, nil
		}
		return n, nil
	case yesNo:
		switch fold(cell) {
		case "yes", "true", "1", "x", "tak", "ja", "prawda", "wahr", "taip", "ano", "oui", "si":
			return true, nil
		case "no", "false", "0", "nie", "nein", "falsz", "falsch", "ne", "non":
			return false, nil
		}
		return nil, fmt.Errorf("want yes or no, have %.40q", cell)
	case texts:
		return readList(cell, separator)
	}
	switch {
	case f.date():
		day, err := readDate(cell, raw)
		if err != nil && f.own && strings.Count(cell, "/") != 2 {
			return cell, nil
		}
		return day, err
	case f.address():
		page, err := readAddress(cell)
		if err != nil && f.own {
			return cell, nil
		}
		return page, err
	case f.clock() && raw:
		if n, err := strconv.ParseFloat(cell, 64); err == nil && n >= 0 && n <= 1 {
			m := int(n*24*60 + 0.5)
			return fmt.Sprintf("%02d:%02d", m/60, m%60), nil
		}
	case f.telephone():
		return readTelephone(cell)
	}
	return cell, nil
}

func readList(cell, separator string) (any, error) {
	out := []any{}
	for _, line := range strings.FieldsFunc(quotedLines(cell), func(r rune) bool { return r == lineMark }) {
		r := csv.NewReader(strings.NewReader(line))
		r.Comma, r.TrimLeadingSpace, r.LazyQuotes, r.FieldsPerRecord = rune(separator[0]), true, false, -1
		parts, err := r.Read()
		if err != nil {
			return nil, fmt.Errorf("the list cannot be read: check its quotation marks")
		}
		for _, p := range parts {
			if strings.TrimSpace(p) != "" {
				if !strings.ContainsAny(p, "\n\r"+separator) && !strings.Contains(line, `"`) {
					p = strings.TrimSpace(p)
				}
				out = append(out, p)
			}
		}
	}
	return out, nil
}

const lineMark = '\x1e'

// quotedLines marks the ends of lines that stand outside of quotation marks:
// people write one value a line in a cell.
func quotedLines(s string) string {
	quoted := false
	return strings.Map(func(r rune) rune {
		if r == '"' {
			quoted = !quoted
		}
		if (r == '\n' || r == '\r') && !quoted {
			return lineMark
		}
		return r
	}, s)
}

func readDate(cell string, raw bool) (any, error) {
	if raw {
		if n, err := strconv.ParseFloat(cell, 64); err == nil && n > 20000 && n < 80000 {
			return time.Date(1899, 12, 30+int(n), 0, 0, 0, 0, time.UTC).Format(time.DateOnly), nil
		}
	}
	day := strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(cell, "."), " r")) // "23.11.2026 r." in Polish
	for _, layout := range []string{time.DateOnly, "2.1.2006", "2. 1. 2006", "2006.01.02", "2006/01/02", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if d, err := time.Parse(layout, day); err == nil {
			return d.Format(time.DateOnly), nil
		}
	}
	if strings.Count(cell, "/") == 2 {
		return nil, fmt.Errorf("nobody can tell the day from the month in %.40q; write it as 2026-11-23", cell)
	}
	return nil, fmt.Errorf("want a date such as 2026-11-23, have %.40q", cell)
}

// readAddress reads the address of a page. One without its scheme is that of a page
// all the same: browsers take it so.
func readAddress(cell string) (any, error) {
	if u, err := url.Parse(cell); err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") {
		return cell, nil
	}
	if u, err := url.Parse("https://" + cell); err == nil && strings.Contains(strings.Trim(u.Hostname(), "."), ".") && !strings.ContainsAny(cell, " @\n") {
		return "https://" + cell, nil
	}
	return nil, fmt.Errorf("want the address of a page such as https://example.org, have %.60q", cell)
}

// readTelephone keeps a number as it stands. One that the spreadsheet made a
// number of has lost nothing as long as all its digits are there.
func readTelephone(cell string) (any, error) {
	mantissa, exponent, ok := strings.Cut(strings.ToUpper(cell), "E")
	if !ok || strings.Trim(mantissa, "0123456789.,") != "" || strings.Trim(exponent, "+0123456789") != "" || mantissa == "" || exponent == "" {
		return strings.TrimSuffix(cell, ".0"), nil
	}
	whole, fraction, _ := strings.Cut(strings.Replace(mantissa, ",", ".", 1), ".")
	zeros, err := strconv.Atoi(strings.TrimPrefix(exponent, "+"))
	if err != nil || zeros > 15 || len(fraction) < zeros-4 || len(fraction) > zeros {
		return nil, fmt.Errorf("the telephone number was turned into %.40q and has lost its digits; format the column as text and write the number again", cell)
	}
	return whole + fraction + strings.Repeat("0", zeros-len(fraction)), nil
}
