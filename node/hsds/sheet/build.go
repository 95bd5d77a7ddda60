package sheet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// build puts the cells of one row into a listing.
type build struct {
	doc     listing.Document
	base    listing.Document
	touched map[string]bool // top fields that the row speaks of
	at      map[string]int  // "channels.2" → index in the list
	long    map[string]int  // "channels" → its length before the row
	said    map[string]bool // list positions under which a cell says something
	cleared [][]step        // outside of lists: what a patch must say is gone
}

func newBuild(base listing.Document) *build {
	b := &build{base: base, touched: map[string]bool{}, at: map[string]int{}, long: map[string]int{}, said: map[string]bool{}}
	b.doc, _ = copied(map[string]any(base)).(map[string]any)
	if b.doc == nil {
		b.doc = listing.Document{}
	}
	return b
}

func copied(v any) any {
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, x := range t {
			out[k] = copied(x)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, x := range t {
			out[i] = copied(x)
		}
		return out
	}
	return v
}

// cell takes one cell in.
func (b *build) cell(c *Column, cell string, clear, raw bool) error {
	if mapped, ok := c.folded[fold(cell)]; ok && cell != "" {
		if cell = mapped; cell == "" {
			return nil // left out on purpose
		}
	}
	if cell == "" {
		if clear {
			b.clear(c.field)
		}
		return nil
	}
	if bad := control(cell); bad != "" {
		return fmt.Errorf("the cell holds %s; remove it", bad)
	}
	cell = strings.ReplaceAll(cell, "\r\n", "\n")
	b.says(c.field)
	old := b.field(c.field).get(b.doc)
	if shown := strings.ReplaceAll(strings.TrimSpace(c.field.show(old, c.Separator)), "\r\n", "\n"); old != nil && shown == cell {
		return nil
	}
	v, err := c.field.read(cell, c.Separator, raw)
	if err != nil {
		return err
	}
	if v, err = c.coded(v); err != nil {
		return err
	}
	if s, ok := v.(string); ok && c.Calling != "" && c.field.telephone() {
		v = recall(s, c.Calling)
	}
	if v == nil {
		return nil
	}
	b.set(c.field, v)
	return nil
}

// recall gives a number back the + that it lost with its calling code.
func recall(s, calling string) string {
	if strings.Trim(s, "0123456789 ") != "" || !strings.HasPrefix(s, calling) || len(digits(s)) < len(calling)+8 {
		return s
	}
	return "+" + s
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// coded turns labels of a vocabulary into its codes, and applies the value table
// to each value of a list.
func (c *Column) coded(v any) (any, error) {
	if list, ok := v.([]any); ok {
		out := []any{}
		for _, s := range c.split(list) {
			if mapped, ok := c.folded[fold(s)]; ok {
				if s = mapped; s == "" {
					continue
				}
			}
			code, err := c.code(s)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(out, any(code)) {
				out = append(out, code)
			}
		}
		if len(out) == 0 {
			return nil, nil
		}
		return out, nil
	}
	if s, ok := v.(string); ok {
		return c.code(s)
	}
	return v, nil
}

// split takes lists of names apart at every sign that people put between two: no
// name of a language or a country holds one.
func (c *Column) split(list []any) []string {
	v := c.field.vocabulary
	var out []string
	for _, x := range list {
		s := x.(string) // as read makes them
		if _, mapped := c.folded[fold(s)]; mapped || c.field.own || v != languageNames && v != countryNames {
			out = append(out, s)
			continue
		}
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(";,/|", r) }) {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func (c *Column) code(s string) (string, error) {
	v := c.field.vocabulary
	if v == "" || listing.Known(v, s) {
		return s, nil
	}
	if code := labels()[v][fold(s)]; code != "" {
		return code, nil
	}
	switch {
	case c.field.own && (v == languageNames || v == countryNames):
		return s, nil
	case v == languageNames && !listing.IsLanguage(s):
		return "", fmt.Errorf("%.60q is no language; write its name or tag, such as lt, or add the word to the values of the column in the mapping", s)
	case v == countryNames && !listing.IsCountry(s):
		return "", fmt.Errorf("%.60q is no country; write its name or code, such as LT, or add the word to the values of the column in the mapping", s)
	case v == languageNames || v == countryNames:
		return s, nil
	}
	return "", fmt.Errorf("%.60q is no code of %s; choose one of: %s, or add the word to the values of the column in the mapping",
		s, c.Field, strings.Join(listing.Terms(v), ", "))
}

// given sets a value of the mapping itself. Below a position of a list it holds
// only where the row says something of that position.
func (b *build) given(g given, always bool) {
	for _, at := range positions(g.field) {
		if !b.said[at] {
			return
		}
	}
	old := b.field(g.field).get(b.doc)
	if s, ok := old.(string); !always && old != nil && (!ok || s != "") {
		return
	}
	if g.field.show(old, ";") == g.field.show(g.value, ";") {
		return
	}
	b.set(g.field, copied(g.value))
}

// positions are the list positions on the way to a field: "channels.2".
func positions(f Field) []string {
	var out []string
	prefix := ""
	for _, s := range f.steps {
		if s.at == 0 {
			prefix = strings.TrimPrefix(prefix+"."+s.name, ".")
			continue
		}
		prefix += "." + strconv.Itoa(s.at)
		out = append(out, prefix)
	}
	return out
}

func (b *build) says(f Field) {
	b.touched[f.steps[0].name] = true
	for _, at := range positions(f) {
		b.said[at] = true
	}
}

// field is f with the positions where they are in this document: what is said
// of the third channel of a listing that has none makes its first.
func (b *build) field(f Field) Field {
	f.steps = slices.Clone(f.steps)
	prefix := ""
	var v any = map[string]any(b.doc)
	for i, s := range f.steps {
		if s.at == 0 {
			prefix = strings.TrimPrefix(prefix+"."+s.name, ".")
			m, _ := v.(map[string]any)
			v = m[s.name]
			continue
		}
		list, _ := v.([]any)
		if _, known := b.long[prefix]; !known {
			b.long[prefix] = len(list)
		}
		key := prefix + "." + strconv.Itoa(s.at)
		index, known := b.at[key]
		switch {
		case known:
		case s.at <= b.long[prefix]:
			index = s.at - 1
		default:
			index = len(list)
		}
		f.steps[i].at = index + 1
		v = nil
		if index < len(list) {
			v = list[index]
			b.at[key] = index
		}
		prefix = key
	}
	return f
}

func (b *build) set(f Field, v any) {
	b.says(f)
	real := b.field(f)
	put(map[string]any(b.doc), real.steps, v)
	prefix := "" // remember where new positions are
	for i, s := range f.steps {
		if s.at == 0 {
			prefix = strings.TrimPrefix(prefix+"."+s.name, ".")
			continue
		}
		prefix += "." + strconv.Itoa(s.at)
		b.at[prefix] = real.steps[i].at - 1
	}
}

// put sets a value in an object, and makes what is not there on the way.
func put(m map[string]any, steps []step, v any) {
	name := steps[0].name
	switch {
	case len(steps) == 1:
		m[name] = v
	case steps[1].at == 0:
		inner, ok := m[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[name] = inner
		}
		put(inner, steps[1:], v)
	default:
		list, _ := m[name].([]any)
		i := steps[1].at - 1
		if i >= len(list) {
			list = append(list, map[string]any{})
			i = len(list) - 1
		}
		inner, ok := list[i].(map[string]any)
		if !ok {
			inner = map[string]any{}
			list[i] = inner
		}
		m[name] = list
		put(inner, steps[2:], v)
	}
}

// clear empties a field.
func (b *build) clear(f Field) {
	real := b.field(f)
	if real.get(b.doc) == nil {
		return
	}
	b.touched[f.steps[0].name] = true
	drop(b.doc, real.steps)
	if len(positions(f)) == 0 {
		b.cleared = append(b.cleared, f.steps)
	}
}

// drop removes a value, and an object or a position of a list that is empty then.
func drop(m map[string]any, steps []step) {
	name := steps[0].name
	switch {
	case len(steps) == 1:
		delete(m, name)
	case steps[1].at == 0:
		if inner, ok := m[name].(map[string]any); ok {
			drop(inner, steps[1:])
		}
	default:
		if list, _ := m[name].([]any); steps[1].at <= len(list) {
			if inner, ok := list[steps[1].at-1].(map[string]any); ok {
				drop(inner, steps[2:])
			}
		}
	}
}

// prune takes out positions of lists that clearing has emptied.
func (b *build) prune() {
	for name := range b.touched {
		list, ok := b.doc[name].([]any)
		if !ok {
			continue
		}
		b.doc[name] = slices.DeleteFunc(list, func(v any) bool {
			m, ok := v.(map[string]any)
			return ok && len(m) == 0
		})
	}
}

// patch is what the row says, for merging into what is there.
func (b *build) patch() listing.Document {
	out := listing.Document{"id": b.doc["id"]}
	for name := range b.touched {
		if v, ok := b.doc[name]; ok {
			out[name] = copied(v)
		}
	}
	for _, steps := range b.cleared {
		put(out, steps, nil)
	}
	return out
}
