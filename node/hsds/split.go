package hsds

import (
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/hsds/schema"
	"github.com/2ps-project/waymark/node/hsds/spill"
	"github.com/2ps-project/waymark/node/listing"
)

// ProfileColumn holds, as one JSON object, the fields of an object that HSDS has
// no column for. A reader that does not know it loses nothing of HSDS; [Rows] puts
// the fields back.
const ProfileColumn = "hsds_2ps"

// objectOf names the object of each table.
var objectOf = map[string]string{
	"accessibility.csv": "accessibility", "addresses.csv": "address", "attributes.csv": "attribute", "contacts.csv": "contact",
	"cost_options.csv": "cost_option", "funding.csv": "funding", "languages.csv": "language", "locations.csv": "location",
	"meta_table_descriptions.csv": "meta_table_description", "metadata.csv": "metadata",
	"organization_identifiers.csv": "organization_identifier", "organizations.csv": "organization", "phones.csv": "phone",
	"programs.csv": "program", "required_documents.csv": "required_document", "schedules.csv": "schedule",
	"service_areas.csv": "service_area", "service_at_location.csv": "service_at_location", "service_capacity.csv": "service_capacity",
	"services.csv": "service", "taxonomies.csv": "taxonomy", "taxonomy_terms.csv": "taxonomy_term", "units.csv": "unit", "url.csv": "url",
}

// needs are the columns that a table must have a value in and the nested form need
// not: there the nesting says it.
var needs = map[string][]string{
	"attributes.csv": {"link_id", "link_entity", "taxonomy_term_id"}, "cost_options.csv": {"service_id"},
	"metadata.csv": {"resource_id", "resource_type"}, "organization_identifiers.csv": {"organization_id"},
	"programs.csv": {"organization_id"}, "service_at_location.csv": {"service_id", "location_id"},
	"service_capacity.csv": {"service_id", "unit_id"}, "services.csv": {"organization_id"},
}

// columnsOf returns the columns of a table in the order of the specification.
func columnsOf(table string) []schema.Field { return columns[table] }

var columns = func() map[string][]schema.Field {
	out := map[string][]schema.Field{}
	for _, table := range tableOrder {
		for _, f := range schema.Fields(objectOf[table]) {
			if f.Kind == schema.String || f.Kind == schema.Number {
				f.Required = f.Required || slices.Contains(needs[table], f.Name)
				out[table] = append(out[table], f)
			}
		}
	}
	return out
}()

// Package is the tabular form of services: 24 tables, joined by keys. Their rows wait
// in files for as long as it is open, in the directory for temporary ones; in memory
// are some 40 bytes for each row that several services have in common.
type Package struct {
	tables map[string]*tableOut
	// How often each row is said. One that is said once is written as it comes; the
	// others are put together first.
	said     spill.Index
	counting bool // the first time through the services: rows are counted only
	seed     maphash.Seed
	shared   *spill.File
	at       map[uint64]int64 // where the newest form of a shared row waits, by its hash
	err      error            // the first of the files; nothing after it counts
}

// tableOut is a table that is being made: its rows, in order, each as it is or as the
// hash of a shared one.
type tableOut struct {
	rows    *spill.File
	profile bool // a row has something in [ProfileColumn]
}

// cells is a row by columns.
type cells = map[string]string

// NewPackage splits services into tables; it goes through them twice, and they must
// be the same. An object without an id gets one that is made from the service's; one
// whose id stands already with other values gets another one, so nothing is lost. Blank
// texts are left out. The error is that of all, or of the files in which rows wait, or
// says which service has no id. Close drops the files.
func NewPackage(all iter.Seq2[listing.Document, error]) (*Package, error) {
	p := &Package{tables: map[string]*tableOut{}, seed: maphash.MakeSeed(), at: map[uint64]int64{}}
	if err := p.fill(all); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Package) fill(all iter.Seq2[listing.Document, error]) (err error) {
	if p.shared, err = spill.New(); err != nil {
		return err
	}
	for _, table := range tableOrder {
		rows, err := spill.New()
		if err != nil {
			return err
		}
		p.tables[table] = &tableOut{rows: rows}
	}
	for _, p.counting = range [...]bool{true, false} {
		for d, err := range all {
			if err != nil {
				return err
			}
			id, _ := d["id"].(string)
			if id == "" {
				return fmt.Errorf("a service has no id, by which the tables are joined")
			}
			tree, err := d.Canonical()
			if err != nil {
				return fmt.Errorf("service %s: %w", id, err)
			}
			if p.object("services.csv", withoutNull(tree), id, nil); p.err != nil {
				return p.err
			}
		}
		if p.counting {
			if err := p.said.Sort(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close drops what waits in files.
func (p *Package) Close() error {
	err := p.said.Close()
	if p.shared != nil {
		err = errors.Join(err, p.shared.Close())
	}
	for _, t := range p.tables {
		err = errors.Join(err, t.rows.Close())
	}
	return err
}

// object adds an object with all that stands in it, nothing of which is null, and
// returns its id. keys are what its row says of the objects that it stands in.
func (p *Package) object(table string, m map[string]any, seed string, keys cells) string {
	row := maps.Clone(keys)
	if row == nil {
		row = cells{}
	}
	id, _ := m["id"].(string)
	if id == "" {
		id = madeID(seed, table)
	}
	for _, o := range single[table] {
		if v, ok := m[o.field].(map[string]any); ok {
			row[o.key] = p.object(links[table][o.key], v, id+"/"+o.field, nil)
		}
	}
	row["id"] = id
	lists := p.lists(table, m)
	if !p.counting {
		fillRow(row, table, m, lists)
	}
	id = p.add(table, row)
	for _, field := range slices.Sorted(maps.Keys(lists)) {
		l := lists[field]
		for i, x := range m[field].([]any) {
			keys := cells{l.key: id}
			switch l.table {
			case "attributes.csv":
				keys["link_entity"] = objectOf[table]
			case "metadata.csv":
				keys["resource_type"] = objectOf[table]
			}
			p.object(l.table, x.(map[string]any), fmt.Sprintf("%s/%s/%d", id, field, i), keys)
		}
	}
	return id
}

// fillRow says in the row of an object what does not stand in rows of other tables.
func fillRow(row cells, table string, m map[string]any, lists map[string]list) {
	rest := maps.Clone(m)
	delete(rest, "id")
	for _, o := range single[table] {
		if _, ok := m[o.field].(map[string]any); ok {
			delete(rest, o.field)
		}
	}
	for field := range lists {
		delete(rest, field)
	}
	for _, f := range columnsOf(table) {
		if s, ok := cellOf(f, m[f.Name]); ok {
			delete(rest, f.Name)
			if s != "" && row[f.Name] == "" {
				row[f.Name] = s
			}
		}
	}
	if len(rest) > 0 {
		row[ProfileColumn] = string(listing.Document(rest).JSON())
	}
}

// lists are the fields of an object that become rows of other tables.
func (p *Package) lists(table string, m map[string]any) map[string]list {
	out := map[string]list{}
	take := func(l list) {
		v, ok := m[l.field].([]any)
		if !ok || len(v) == 0 {
			return
		}
		for _, x := range v {
			if _, ok := x.(map[string]any); !ok {
				return
			}
		}
		out[l.field] = l
	}
	for _, l := range nested[table] {
		take(l)
	}
	if table != "attributes.csv" && table != "metadata.csv" {
		take(list{"attributes", "attributes.csv", "link_id"})
	}
	if table != "metadata.csv" {
		take(list{"metadata", "metadata.csv", "resource_id"})
	}
	return out
}

// cellOf writes a value as the cell of a column; false when it is of another type
// and goes with the profile's fields.
func cellOf(f schema.Field, v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, f.Kind == schema.String && !numberColumns[f.Name] && !strings.Contains(t, "\r") && (t == "" || strings.TrimSpace(t) != "")
	case int64:
		return strconv.FormatInt(t, 10), f.Kind == schema.Number && numberColumns[f.Name]
	case float64:
		return strconv.FormatFloat(t, 'g', -1, 64), f.Kind == schema.Number && numberColumns[f.Name]
	}
	return "", false
}

// add keeps a row and returns its id. One with the same id is the same row if nothing
// in them differs; then each adds what the other lacks.
func (p *Package) add(table string, row cells) string {
	hash := p.hash(table, row["id"])
	if p.counting {
		p.failed(p.said.Put(hash, 0))
		return row["id"]
	}
	t := p.tables[table]
	t.profile = t.profile || row[ProfileColumn] != ""
	for again := false; p.err == nil; again = true {
		if again {
			row["id"] = madeID(row["id"], table, "again")
			hash = p.hash(table, row["id"])
		}
		times := 0
		p.failed(p.said.Find(hash, 0, func(uint64) bool { times++; return times < 2 }))
		if times == 1 {
			if again {
				continue // another row has it of its own
			}
			_, err := t.rows.Add(appendRow([]byte{rowHere}, table, row))
			p.failed(err)
			break
		}
		at, there := p.at[hash]
		if !there {
			_, err := t.rows.Add(binary.BigEndian.AppendUint64([]byte{rowShared}, hash))
			p.failed(err)
			p.put(hash, table, row)
			break
		}
		old, err := p.sharedRow(table, at)
		if p.failed(err); err != nil {
			break
		}
		same, more := true, false
		for c, v := range row {
			same = same && (old[c] == "" || old[c] == v)
			more = more || old[c] != v
		}
		if same {
			if more {
				maps.Copy(old, row)
				p.put(hash, table, old)
			}
			break
		}
	}
	return row["id"]
}

func (p *Package) failed(err error) { p.err = cmp.Or(p.err, err) }

// put keeps the newest form of a shared row.
func (p *Package) put(hash uint64, table string, row cells) {
	at, err := p.shared.Add(appendRow(nil, table, row))
	p.failed(err)
	p.at[hash] = at
}

func (p *Package) hash(table, id string) uint64 { return rowHash(p.seed, table, id) }

// How a row of a table waits: with its cells, or with the hash of a shared row.
const (
	rowHere = iota
	rowShared
)

// appendRow writes the cells of a row in the order of their columns; the profile's is
// the last.
func appendRow(b []byte, table string, row cells) []byte {
	for _, f := range columnsOf(table) {
		b = appendText(b, row[f.Name])
	}
	return appendText(b, row[ProfileColumn])
}

func (p *Package) sharedRow(table string, at int64) (cells, error) {
	piece, _, err := p.shared.At(at)
	if err != nil {
		return nil, err
	}
	row := cells{}
	columns, values := columnsOf(table), texts(piece)
	for i, f := range columns {
		row[f.Name] = values[i]
	}
	row[ProfileColumn] = values[len(columns)]
	return row, nil
}

// Tables are the file names of the package's tables, in order.
func (p *Package) Tables() []string { return slices.Clone(tableOrder) }

// header are the columns of a table here.
func (p *Package) header(table string) []string {
	var out []string
	for _, f := range columnsOf(table) {
		out = append(out, f.Name)
	}
	if p.tables[table].profile {
		out = append(out, ProfileColumn)
	}
	return out
}

// WriteTable writes a table as CSV, UTF-8, separated by commas (RFC 4180).
func (p *Package) WriteTable(w io.Writer, table string) error {
	header, t := p.header(table), p.tables[table]
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	var failed error
	err := t.rows.Each(0, t.rows.Size(), func(_ int64, piece []byte) bool {
		kind, piece := piece[0], piece[1:]
		if kind == rowShared {
			piece, _, failed = p.shared.At(p.at[binary.BigEndian.Uint64(piece)])
		}
		if failed == nil {
			failed = out.Write(texts(piece)[:len(header)])
		}
		return failed == nil
	})
	out.Flush()
	return errors.Join(err, failed, out.Error())
}

// dataPackage is a Tabular Data Package (specs.frictionlessdata.io).
type dataPackage struct {
	Name      string       `json:"name"`
	Title     string       `json:"title"`
	Profile   string       `json:"profile"`
	Version   string       `json:"version"`
	Licenses  []dpLicence  `json:"licenses,omitempty"`
	Resources []dpResource `json:"resources"`
}

type dpLicence struct {
	Name string `json:"name"`
}

type dpResource struct {
	Name      string   `json:"name"`
	Path      string   `json:"path"`
	Format    string   `json:"format"`
	MediaType string   `json:"mediatype"`
	Encoding  string   `json:"encoding"`
	Profile   string   `json:"profile"`
	Schema    dpSchema `json:"schema"`
}

type dpSchema struct {
	PrimaryKey  string      `json:"primaryKey"`
	Fields      []dpField   `json:"fields"`
	ForeignKeys []dpForeign `json:"foreignKeys,omitempty"`
}

type dpField struct {
	Name        string         `json:"name"`
	Type        string         `json:"type"`
	Format      string         `json:"format,omitempty"`
	Constraints map[string]any `json:"constraints,omitempty"`
}

type dpForeign struct {
	Fields    string      `json:"fields"`
	Reference dpReference `json:"reference"`
}

type dpReference struct {
	Resource string `json:"resource"`
	Fields   string `json:"fields"`
}

// DataPackage returns datapackage.json: every table with its columns, what they
// must hold, and the keys that join them. licence is an SPDX id; empty for none.
func (p *Package) DataPackage(licence string) []byte {
	d := dataPackage{Name: "human_services_data", Title: "Human Services Data Specification", Profile: "tabular-data-package", Version: Version}
	if licence != "" {
		d.Licenses = []dpLicence{{licence}}
	}
	for _, table := range tableOrder {
		r := dpResource{Name: objectOf[table], Path: table, Format: "csv", MediaType: "text/csv", Encoding: "utf-8", Profile: "tabular-data-resource",
			Schema: dpSchema{PrimaryKey: "id"}}
		for _, f := range columnsOf(table) {
			x := dpField{Name: f.Name, Type: string(f.Kind), Format: f.Format}
			switch f.Format {
			case "date", "time":
				x.Type, x.Format = f.Format, ""
			case "date-time":
				x.Type, x.Format = "datetime", ""
			}
			c := map[string]any{}
			if f.Required {
				c["required"] = true
			}
			if f.Name == "id" {
				c["unique"] = true
			}
			if f.Values != nil {
				c["enum"] = f.Values
			}
			if len(c) > 0 {
				x.Constraints = c
			}
			r.Schema.Fields = append(r.Schema.Fields, x)
		}
		if slices.Contains(p.header(table), ProfileColumn) {
			r.Schema.Fields = append(r.Schema.Fields, dpField{Name: ProfileColumn, Type: "object"})
		}
		for _, column := range slices.Sorted(maps.Keys(links[table])) {
			r.Schema.ForeignKeys = append(r.Schema.ForeignKeys, dpForeign{column, dpReference{objectOf[links[table][column]], "id"}})
		}
		d.Resources = append(d.Resources, r)
	}
	b, _ := json.MarshalIndent(d, "", "  ") // texts and lists of them always can
	return append(b, '\n')
}

// Files writes the whole package: each file to what create returns for its name.
func (p *Package) Files(licence string, create func(name string) (io.Writer, error)) error {
	w, err := create("datapackage.json")
	if err != nil {
		return err
	}
	if _, err := w.Write(p.DataPackage(licence)); err != nil {
		return err
	}
	for _, table := range tableOrder {
		if w, err = create(table); err != nil {
			return err
		}
		if err := p.WriteTable(w, table); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

// unpack puts the fields of [ProfileColumn] back into a record; err is that of
// reading them.
func (rec *record) unpack(d listing.Document, err error) {
	if err != nil {
		rec.fault(ProfileColumn, listing.CodeMalformed, "This cell must hold one JSON object: "+err.Error()+". Correct it or leave it out.")
		return
	}
	for k, v := range d {
		if old, there := rec.cells[k]; there && !reflect.DeepEqual(old, v) {
			rec.fault(ProfileColumn, listing.CodeBadValue, fmt.Sprintf("The field %.60q has a column of its own. Leave it out here.", k))
			continue
		}
		rec.cells[k] = v
	}
}

// constraints notes what the tables lack by themselves: what is required, and keys
// that lead somewhere. These are notes, for HSDS asks for more than other directories
// have; an id that stands twice is a fault of the record.
func (j *join) constraints() {
	for _, name := range tableOrder {
		fields := columnsOf(name)
		columns := slices.Sorted(maps.Keys(links[name]))
		j.pieces(name, func(t *table, at int64, piece []byte) bool {
			l := t.line(at, piece)
			if !j.sound.has(at) && len(l.record().faults) > 0 {
				return true
			}
			for _, f := range fields {
				if f.Required && !l.has(f.Name) && (name != "services.csv" || !hard(f.Name)) {
					j.note(listing.Fault{Path: t.where(l.row) + ", " + f.Name, Code: listing.CodeMissing,
						Message: "HSDS requires a value in this column, and there is none."})
				}
			}
			for _, column := range columns {
				if key := l.key(column); key != "" && !j.there(links[name][column], key) {
					j.note(listing.Fault{Path: t.where(l.row) + ", " + column, Code: listing.CodeDangling,
						Message: fmt.Sprintf("There is no row with the id %.60q in %s.", key, links[name][column])})
				}
			}
			return true
		})
	}
}

// hard tells whether the lack of a column of services is a fault anyway.
func hard(column string) bool {
	return column == "id" || column == "name" || column == "status"
}
