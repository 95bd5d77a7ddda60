package sheet

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/hsds/spill"
	"github.com/2ps-project/waymark/node/listing"
)

// Row is what a row of a table says of a listing.
type Row struct {
	Where    string           // "rows.csv row 7"
	Document listing.Document // to be merged into the listing with its id; nil when it cannot be read at all
	Faults   listing.Faults   // all that keeps it from being taken in, each with its column
}

// Taken is what a table brings. It has taken the table over.
type Taken struct {
	// Duplicates are rows that may mean a listing that is there already, under another
	// id. They are known when Rows has come to its end.
	Duplicates []Duplicate

	k    *taker
	find *finder
}

// taker takes the rows of a table, which it reads twice: for their ids, and when the
// listings that are there are known, for all. Those that a row means wait in a file.
type taker struct {
	t       *Table
	m       *Mapping
	replace bool
	column  []int // of the table, for each column of the mapping
	ids     []int // the columns of the id

	seed  maphash.Seed
	rows  spill.Index // the numbers of rows by their ids, and by their ids in the source
	there *spill.File // listings that are there
	base  spill.Index // where the listing waits that a row means, by the number of the row
}

// pending is a row that waits for the listing that is there already.
type pending struct {
	line     Line
	id       string
	external string // its id in the source; empty when it has the listing's own
	known    bool   // a listing with this id is there
	listing  *listing.Listing
	document listing.Document // nil when there is none
	row      Row
}

// Take makes rows of listings. A cell that says what stands in the listing
// already, or is blank, changes nothing; one that says something else changes only
// its own field, also inside lists. existing are the listings that are there, in any
// order; with replace each row is the whole listing. Identities are kept: a row
// means the listing that carries its external id, or else always the same new one.
//
// The error is for what is wrong with the table as a whole; what is wrong with a
// row stands in it, each fault with its column. Take closes the table when it fails;
// otherwise Close does.
func Take(t *Table, m *Mapping, existing iter.Seq2[listing.Document, error], replace bool) (*Taken, error) {
	k := &taker{t: t, m: m, replace: replace, seed: maphash.MakeSeed()}
	taken := &Taken{k: k}
	err := k.columns()
	if err == nil {
		err = taken.prepare(existing)
	}
	if err != nil {
		taken.Close()
		return nil, err
	}
	return taken, nil
}

// Close closes the table and drops what waits in files.
func (t *Taken) Close() error {
	err := errors.Join(t.k.t.Close(), t.k.rows.Close(), t.k.base.Close())
	if t.k.there != nil {
		err = errors.Join(err, t.k.there.Close())
	}
	if t.find != nil {
		err = errors.Join(err, t.find.close())
	}
	return err
}

// prepare reads the ids of the rows and finds the listings that they mean.
func (t *Taken) prepare(existing iter.Seq2[listing.Document, error]) (err error) {
	k := t.k
	if t.find, err = newFinder(); err != nil {
		return err
	}
	if k.there, err = spill.New(); err != nil {
		return err
	}
	for p, err := range k.pending() {
		if err == nil && p.id != "" {
			err = k.rows.Put(k.hash(ownID, p.id), uint64(p.line.Number))
		}
		if err == nil && p.external != "" {
			err = k.rows.Put(k.hash(sourceID, p.external), uint64(p.line.Number))
		}
		if err != nil {
			return err
		}
	}
	if err := k.rows.Sort(); err != nil {
		return err
	}
	for d, err := range existing {
		if err != nil {
			return err
		}
		meant, err := k.meant(d)
		if err != nil {
			return err
		}
		if err := t.find.existing(d, meant); err != nil {
			return err
		}
	}
	return k.base.Sort()
}

// pending are the rows that say something.
func (k *taker) pending() iter.Seq2[pending, error] {
	return func(yield func(pending, error) bool) {
		for l, err := range k.t.Lines() {
			if err != nil {
				yield(pending{}, err)
				return
			}
			if p, ok := k.start(l); ok && !yield(p, nil) {
				return
			}
		}
	}
}

// What an id is one of.
const (
	ownID byte = iota
	sourceID
)

func (k *taker) hash(kind byte, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	h.WriteByte(kind)
	h.WriteString(id)
	return h.Sum64()
}

// meant keeps a listing that a row means, and tells whether one does.
func (k *taker) meant(d listing.Document) (bool, error) {
	var rows []uint64
	add := func(kind byte, id string) error {
		return k.rows.Find(k.hash(kind, id), 0, func(n uint64) bool { rows = append(rows, n); return true })
	}
	id, _ := d["id"].(string)
	if err := add(ownID, id); err != nil {
		return false, err
	}
	if rows == nil {
		for _, x := range externals(d, k.m.Source) {
			if err := add(sourceID, x); err != nil {
				return false, err
			}
		}
	}
	if rows == nil {
		return false, nil
	}
	if k.replace {
		d = listing.Document{"id": id, "external_ids": d["external_ids"]}
	}
	at, err := k.there.Add(d.JSON())
	for _, n := range rows {
		err = errors.Join(err, k.base.Put(n, uint64(at)))
	}
	return true, err
}

// meaning is the listing that a row means; nil when there is none.
func (k *taker) meaning(p *pending) (d listing.Document, err error) {
	findErr := k.base.Find(uint64(p.line.Number), 0, func(at uint64) bool {
		var piece []byte
		if piece, _, err = k.there.At(int64(at)); err == nil {
			d, err = listing.ParseJSON(piece)
		}
		if err != nil {
			return false
		}
		if id, _ := d["id"].(string); id == p.id || p.external != "" && slices.Contains(externals(d, k.m.Source), p.external) {
			return false
		}
		d = nil // of another id with the same hash
		return true
	})
	return d, errors.Join(err, findErr)
}

// Rows are those of the table, each with what its columns say of the listing. They are
// read once. An error ends them.
func (t *Taken) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		k := t.k
		seen := map[uint64]int{} // by the hash of the id: the row
		for p, err := range k.pending() {
			var base listing.Document
			if err == nil {
				base, err = k.meaning(&p)
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			if base != nil {
				p.id, p.known = base["id"].(string), true
			}
			if k.replace {
				base = nil
			}
			k.finish(&p, base)
			if p.id != "" && p.line.Broken == "" {
				hash := k.hash(ownID, p.id)
				if at, twice := seen[hash]; twice {
					p.row.Faults = append(p.row.Faults, listing.Fault{Path: "id", Code: listing.CodeTwice,
						Message: fmt.Sprintf("The same listing stands at %s. Give each row an id of its own.", k.t.Where(at))})
				} else {
					seen[hash] = p.line.Number
				}
			}
			if p.document != nil {
				err = t.find.row(p.row.Where, p.listing, !p.known)
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			if !yield(p.row, nil) {
				return
			}
		}
		var err error
		if t.Duplicates, err = t.find.found(); err != nil {
			yield(Row{}, err)
		}
	}
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
	l, faults := b.doc.Listing()
	p.document, p.listing = b.doc, l
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
