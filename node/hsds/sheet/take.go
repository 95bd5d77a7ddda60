package sheet

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// Row is what a row of a table says of a listing.
type Row struct {
	Where    string           // "rows.csv row 7"
	Document listing.Document // to be merged into the listing with its id; nil when it cannot be read at all
	Faults   listing.Faults   // all that keeps it from being taken in, each with its column
}

// Taken is what a table brings.
type Taken struct {
	Rows       []Row       // one for each row of the table, with what its columns say of the listing
	Duplicates []Duplicate // rows that may mean a listing that is there already, under another id
}

// taker takes the rows of a table.
type taker struct {
	t       *Table
	m       *Mapping
	column  []int // of the table, for each column of the mapping
	ids     []int // the columns of the id
	pending []pending
}

// pending is a row that waits for the listing that is there already.
type pending struct {
	line     Line
	id       string
	external string // its id in the source; empty when it has the listing's own
	done     bool
	known    bool // a listing with this id is there
	document listing.Document
	row      Row
}

// Take makes rows of listings. A cell that says what stands in the listing
// already, or is blank, changes nothing; one that says something else changes only
// its own field, also inside lists. existing are the listings that are there, in any
// order; with replace each row is the whole listing. Identities are kept: a row
// means the listing that carries its external id, or else always the same new one.
//
// The error is for what is wrong with the table as a whole; what is wrong with a
// row stands in it, each fault with its column.
func Take(t *Table, m *Mapping, existing iter.Seq2[listing.Document, error], replace bool) (*Taken, error) {
	k := &taker{t: t, m: m}
	if err := k.columns(); err != nil {
		return nil, err
	}
	byID, byExternal := map[string][]int{}, map[string][]int{}
	for _, l := range t.Lines {
		if p, ok := k.start(l); ok {
			byID[p.id] = append(byID[p.id], len(k.pending))
			if p.external != "" {
				byExternal[p.external] = append(byExternal[p.external], len(k.pending))
			}
			k.pending = append(k.pending, p)
		}
	}
	find := newFinder()
	for d, err := range existing {
		if err != nil {
			return nil, err
		}
		id, _ := d["id"].(string)
		rows := byID[id]
		if rows == nil {
			for _, x := range externals(d, m.Source) {
				rows = append(rows, byExternal[x]...)
			}
		}
		for _, i := range rows {
			p := &k.pending[i]
			if p.done {
				continue
			}
			base := d
			if replace {
				base = nil
			}
			p.id, p.known = id, true
			k.finish(p, base)
		}
		find.existing(d, len(rows) > 0)
	}
	out := &Taken{}
	seen := map[string]string{}
	for i := range k.pending {
		p := &k.pending[i]
		if !p.done {
			k.finish(p, nil)
		}
		if p.id != "" && p.line.Broken == "" {
			if at, twice := seen[p.id]; twice {
				p.row.Faults = append(p.row.Faults, listing.Fault{Path: "id", Code: listing.CodeTwice,
					Message: fmt.Sprintf("The same listing stands at %s. Give each row an id of its own.", at)})
			} else {
				seen[p.id] = p.row.Where
			}
		}
		if p.document != nil {
			find.row(p.row.Where, p.document, !p.known)
		}
		out.Rows = append(out.Rows, p.row)
	}
	out.Duplicates = find.found()
	return out, nil
}

// externals are the ids of a listing in a source.
func externals(d listing.Document, source string) []string {
	var out []string
	list, _ := d["external_ids"].([]any)
	for _, x := range list {
		m, _ := x.(map[string]any)
		if m["scheme"] == source {
			if id, _ := m["id"].(string); id != "" {
				out = append(out, id)
			}
		}
	}
	return out
}

// columns finds the columns of the mapping in the table.
func (k *taker) columns() error {
	at := map[string]int{}
	for i, h := range k.t.Header {
		key := fold(h)
		if k.m.own {
			key = h
		}
		if _, there := at[key]; !there && h != "" {
			at[key] = i
		}
	}
	var missing []string
	find := func(name string) int {
		key := fold(name)
		if k.m.own {
			key = name
		}
		i, ok := at[key]
		if !ok {
			missing = append(missing, strconv.Quote(name))
			return -1
		}
		return i
	}
	for _, c := range k.m.Columns {
		k.column = append(k.column, find(c.Name))
	}
	for _, name := range k.m.ID {
		k.ids = append(k.ids, find(name))
	}
	if missing != nil {
		return refuse("%s: the mapping names columns that are not there: %s; the header has: %s", k.t.Name,
			strings.Join(missing, ", "), strings.Join(k.t.Header, ", "))
	}
	return nil
}

func cell(l Line, i int) string {
	if i < 0 || i >= len(l.Cells) {
		return ""
	}
	return strings.TrimSpace(l.Cells[i])
}

// start tells what a row means; false when it says nothing but an id.
func (k *taker) start(l Line) (pending, bool) {
	p := pending{line: l, row: Row{Where: k.t.Where(l.Number)}}
	says := l.Broken != ""
	for i, c := range k.m.Columns {
		v := cell(l, k.column[i])
		if c.Field == "id" {
			p.id = v
		} else if v != "" {
			says = true
		}
	}
	var parts []string
	for _, i := range k.ids {
		if v := cell(l, i); v != "" {
			parts = append(parts, strings.TrimSuffix(v, ".0"))
		}
	}
	if p.id == "" && len(parts) == len(k.ids) && len(parts) > 0 {
		p.external = strings.Join(parts, " / ")
		p.id = identity(k.m.Source, p.external)
	}
	return p, says
}

// finish builds the document of a row.
func (k *taker) finish(p *pending, base listing.Document) {
	p.done = true
	if p.line.Broken != "" {
		p.row.Faults = listing.Faults{{Code: listing.CodeMalformed, Message: p.line.Broken}}
		return
	}
	if p.id == "" {
		path := "id"
		if len(k.ids) > 0 {
			path = k.place(k.ids[0])
		}
		p.row.Faults = listing.Faults{{Path: path, Code: listing.CodeMissing,
			Message: "The row has no id. Give it one that stays the same for ever: an own number of the source, or an unused id of the template."}}
		return
	}
	b := newBuild(base)
	b.doc["id"] = p.id
	for i, c := range k.m.Columns {
		if c.Field == "id" {
			continue
		}
		if err := b.cell(&c, cell(p.line, k.column[i]), k.m.Blank == "clear", k.t.raw); err != nil {
			p.row.Faults = append(p.row.Faults, listing.Fault{Path: k.place(k.column[i]), Code: listing.CodeBadValue,
				Message: sentence(err.Error())})
		}
	}
	for _, g := range k.m.fixed {
		b.given(g, true)
	}
	for _, g := range k.m.defaults {
		b.given(g, false)
	}
	if p.external != "" && !slices.Contains(externals(b.doc, k.m.Source), p.external) {
		list, _ := b.doc["external_ids"].([]any)
		b.doc["external_ids"] = append(slices.Clip(list), map[string]any{"scheme": k.m.Source, "id": p.external})
		b.touched["external_ids"] = true
	}
	b.prune()
	p.document = b.doc
	l, faults := b.doc.Listing()
	for _, f := range append(faults, l.CheckServe()...) {
		f.Path = k.named(f.Path)
		p.row.Faults = append(p.row.Faults, f)
	}
	p.row.Document = b.patch()
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// place names a column for a person.
func (k *taker) place(i int) string {
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("column %s “%s”", Letter(i), k.t.Header[i])
}

// named adds the column to the path of a fault, "channels[0].type", when one of
// them carries it.
func (k *taker) named(path string) string {
	var b strings.Builder
	for rest := path; rest != ""; {
		before, after, ok := strings.Cut(rest, "[")
		b.WriteString(before)
		if !ok {
			break
		}
		n, tail, _ := strings.Cut(after, "]")
		if i, err := strconv.Atoi(n); err == nil {
			fmt.Fprintf(&b, ".%d", i+1)
		}
		rest = tail
	}
	field := b.String()
	for i, c := range k.m.Columns {
		if c.Field == field || strings.HasPrefix(field, c.Field+".") {
			return path + ", " + k.place(k.column[i])
		}
	}
	return path
}
