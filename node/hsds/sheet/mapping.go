package sheet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/pelletier/go-toml/v2"

	"github.com/2ps-project/waymark/node/listing"
)

// Mapping says how the columns of one source become listings. [ParseMapping]
// reads it from TOML; the comments of [Suggest] are its manual.
type Mapping struct {
	Source    string            `toml:"source"`    // name of the source; with a row's own id it makes the identity of a listing
	ID        []string          `toml:"id"`        // columns whose texts together name a row for ever
	Sheet     string            `toml:"sheet"`     // of a workbook; empty for the first that is visible
	Header    int               `toml:"header"`    // the row of the header; 0 = 1
	Encoding  string            `toml:"encoding"`  // of CSV; empty to be told from the bytes
	Separator string            `toml:"separator"` // of CSV; empty to be told from the header
	Blank     string            `toml:"blank"`     // what a blank cell does: keep (empty) leaves the field as it is, clear empties it
	Fixed     map[string]string `toml:"fixed"`     // field → value for every row, whatever a cell says
	Defaults  map[string]string `toml:"defaults"`  // field → value where nothing is said
	Columns   []Column          `toml:"column"`

	fixed, defaults []given
	own             bool // the header names the fields itself
}

// Column is what becomes of one column.
type Column struct {
	Name      string            `toml:"name"`      // in the header; case and accents do not matter
	Field     string            `toml:"field"`     // such as "name" or "channels.1.value"
	Separator string            `toml:"separator"` // of lists; empty = ;
	Calling   string            `toml:"calling"`   // calling code such as "48" that a telephone number gets back when its + was lost
	Values    map[string]string `toml:"values"`    // cell → value; case and accents do not matter; an empty value leaves it out

	field  Field
	folded map[string]string
}

// given is a value that the mapping itself says.
type given struct {
	field Field
	value any
}

// maxMapping is the size of a mapping in bytes.
const maxMapping = 1 << 20

// ParseMapping reads a mapping. The error names everything that is wrong.
func ParseMapping(b []byte) (*Mapping, error) {
	m := &Mapping{}
	if len(b) > maxMapping || !utf8.Valid(b) {
		return nil, fmt.Errorf("the mapping is not UTF-8 or has more than %d bytes", maxMapping)
	}
	dec := toml.NewDecoder(strings.NewReader(string(b))).DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		if s, ok := err.(interface{ String() string }); ok { //nolint:errorlint // both kinds of errors of the package are plain
			return nil, fmt.Errorf("the mapping cannot be read (names with spaces, dots or letters such as ł stand in quotation marks):\n%s", s.String())
		}
		return nil, fmt.Errorf("the mapping cannot be read: %w", err)
	}
	return m, m.check()
}

// Options are those of the mapping for reading the file.
func (m *Mapping) Options() Options {
	return Options{Encoding: m.Encoding, Separator: m.Separator, Sheet: m.Sheet, Header: m.Header}
}

// check compiles the mapping.
func (m *Mapping) check() error {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if m.Blank != "" && m.Blank != "keep" && m.Blank != "clear" {
		say("blank: choose keep or clear")
	}
	if m.Header < 0 || m.Header > lastRow {
		say("header: want the number of a row")
	}
	if len(m.Columns) == 0 {
		say("there is no [[column]]; name at least one")
	}
	if len(m.Columns) > MaxColumns {
		say("there are more than %d columns", MaxColumns)
	}
	if len(m.ID) > 0 && m.Source == "" {
		say("source: name the source; together with the id of a row it makes the identity of a listing")
	}
	seen := map[string]string{}
	for i := range m.Columns {
		c := &m.Columns[i]
		var err error
		if c.field, err = ParseField(c.Field); err != nil {
			say("column %q: %v", c.Name, err)
			continue
		}
		if first, twice := seen[c.Field]; twice {
			say("the columns %q and %q both mean %s", first, c.Name, c.Field)
		}
		seen[c.Field] = c.Name
		c.field.own = m.own
		if c.Separator == "" {
			c.Separator = ";"
		}
		if len(c.Separator) != 1 || c.Separator == `"` || c.Separator == "\n" || c.Separator == "\r" || c.Separator[0] >= utf8.RuneSelf || c.Separator[0] == 0 {
			say("column %q: the separator must be one plain sign such as ; or ,", c.Name)
		}
		c.folded = map[string]string{}
		for k, v := range c.Values {
			if v != "" && listing.Terms(c.field.vocabulary) != nil && !listing.Known(c.field.vocabulary, v) {
				say("column %q: %q is no code of %s; choose one of: %s", c.Name, v, c.Field, strings.Join(listing.Terms(c.field.vocabulary), ", "))
			}
			c.folded[fold(k)] = v
		}
	}
	if _, has := seen["id"]; !has && len(m.ID) == 0 {
		say("id: name the columns that tell one row from every other for ever, such as id = [\"Nr\"]")
	}
	m.fixed = compile("fixed", m.Fixed, say)
	m.defaults = compile("defaults", m.Defaults, say)
	if bad != nil {
		return fmt.Errorf("the mapping is wrong:\n  %s", strings.Join(bad, "\n  "))
	}
	slices.SortStableFunc(m.Columns, func(a, b Column) int { return a.field.compare(b.field) })
	return nil
}

func compile(table string, values map[string]string, say func(string, ...any)) []given {
	var out []given
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f, err := ParseField(name)
		if err != nil {
			say("%s: %v", table, err)
			continue
		}
		v, err := f.read(values[name], ";", false)
		if err != nil {
			say("%s: %s: %v", table, name, err)
			continue
		}
		out = append(out, given{f, v})
	}
	return out
}

// Own returns the mapping of a table whose header names the fields itself, as
// [WriteCSV] and [WriteWorkbook] write it; false when it does not.
func Own(t *Table) (*Mapping, bool) {
	m := &Mapping{own: true}
	nested := false
	for _, h := range t.Header {
		if h == "" {
			continue
		}
		if _, err := ParseField(h); err != nil {
			return nil, false
		}
		nested = nested || strings.Contains(h, ".")
		m.Columns = append(m.Columns, Column{Name: h, Field: h})
	}
	if !nested || m.check() != nil { // a bare services.csv of the tabular package names no nested field
		return nil, false
	}
	return m, true
}

// space is the name space of ids that are made from those of a source (RFC
// 9562, version 5).
var space = uuid.MustParse("c4ff3b8a-5f5e-5d0b-b0a9-7f1a0d9e62b1")

// identity is the id of the listing that a source calls by an id of its own.
func identity(source, id string) string {
	return uuid.NewSHA1(space, []byte(source+"\x00"+id)).String()
}
