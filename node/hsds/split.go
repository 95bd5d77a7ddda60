package hsds

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/hsds/schema"
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
func columnsOf(table string) []schema.Field {
	var out []schema.Field
	for _, f := range schema.Fields(objectOf[table]) {
		if f.Kind == schema.String || f.Kind == schema.Number {
			f.Required = f.Required || slices.Contains(needs[table], f.Name)
			out = append(out, f)
		}
	}
	return out
}

// Package is the tabular form of services: 24 tables, joined by keys. It is held
// in memory, some kilobytes a service.
type Package struct {
	rows map[string][]map[string]string // by table; cells by column
	at   map[string]map[string]int      // table → id → row
}

// NewPackage splits services into tables. An object without an id gets one that is
// made from the service's; one whose id stands already with other values gets
// another one, so nothing is lost. Blank texts are left out. The error is that of
// all, or says which service has no id.
func NewPackage(all iter.Seq2[listing.Document, error]) (*Package, error) {
	p := &Package{rows: map[string][]map[string]string{}, at: map[string]map[string]int{}}
	for d, err := range all {
		if err != nil {
			return nil, err
		}
		id, _ := d["id"].(string)
		if id == "" {
			return nil, fmt.Errorf("a service has no id, by which the tables are joined")
		}
		tree, err := listing.ParseJSON(d.JSON())
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", id, err)
		}
		p.object("services.csv", withoutNull(tree), id, nil)
	}
	return p, nil
}

// object adds an object with all that stands in it and returns its id. keys are
// what its row says of the objects that it stands in.
func (p *Package) object(table string, m map[string]any, seed string, keys map[string]string) string {
	row := maps.Clone(keys)
	if row == nil {
		row = map[string]string{}
	}
	rest := map[string]any{}
	inner := map[string]bool{}
	id, _ := m["id"].(string)
	if id == "" {
		id = madeID(seed, table)
	}
	for _, o := range single[table] {
		if v, ok := m[o.field].(map[string]any); ok {
			inner[o.field] = true
			row[o.key] = p.object(links[table][o.key], v, id+"/"+o.field, nil)
		}
	}
	for _, f := range columnsOf(table) {
		v, there := m[f.Name]
		if !there {
			continue
		}
		if s, ok := cellOf(f, v); ok {
			inner[f.Name] = true
			if s != "" && row[f.Name] == "" {
				row[f.Name] = s
			}
		}
	}
	row["id"], inner["id"] = id, true
	lists := p.lists(table, m)
	for field := range lists {
		inner[field] = true
	}
	for k, v := range m {
		if !inner[k] {
			rest[k] = v
		}
	}
	if len(rest) > 0 {
		row[ProfileColumn] = string(listing.Document(rest).JSON())
	}
	id = p.add(table, row)
	for _, field := range slices.Sorted(maps.Keys(lists)) {
		l := lists[field]
		for i, x := range m[field].([]any) {
			keys := map[string]string{l.key: id}
			switch l.table {
			case "attributes.csv":
				keys["link_entity"] = objectOf[table]
			case "metadata.csv":
				keys["resource_type"] = objectOf[table]
			}
			p.object(l.table, withoutNull(x.(map[string]any)), fmt.Sprintf("%s/%s/%d", id, field, i), keys)
		}
	}
	return id
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

// add keeps a row. One with the same id is the same row if nothing in them
// differs; then each adds what the other lacks.
func (p *Package) add(table string, row map[string]string) string {
	if p.at[table] == nil {
		p.at[table] = map[string]int{}
	}
	for {
		i, there := p.at[table][row["id"]]
		if !there {
			break
		}
		old := p.rows[table][i]
		if !slices.ContainsFunc(slices.Collect(maps.Keys(row)), func(c string) bool { return old[c] != "" && old[c] != row[c] }) {
			maps.Copy(old, row)
			return row["id"]
		}
		row["id"] = madeID(row["id"], table, "again")
	}
	p.at[table][row["id"]] = len(p.rows[table])
	p.rows[table] = append(p.rows[table], row)
	return row["id"]
}

// Tables are the file names of the package's tables, in order.
func (p *Package) Tables() []string { return slices.Clone(tableOrder) }

// header are the columns of a table here.
func (p *Package) header(table string) []string {
	var out []string
	for _, f := range columnsOf(table) {
		out = append(out, f.Name)
	}
	if slices.ContainsFunc(p.rows[table], func(r map[string]string) bool { return r[ProfileColumn] != "" }) {
		out = append(out, ProfileColumn)
	}
	return out
}

// WriteTable writes a table as CSV, UTF-8, separated by commas (RFC 4180).
func (p *Package) WriteTable(w io.Writer, table string) error {
	header := p.header(table)
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	cells := make([]string, len(header))
	for _, r := range p.rows[table] {
		for i, c := range header {
			cells[i] = r[c]
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
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

// unpackProfile puts the fields of [ProfileColumn] back into a record.
func (rec *record) unpackProfile() {
	text, ok := rec.cells[ProfileColumn].(string)
	if !ok {
		return
	}
	delete(rec.cells, ProfileColumn)
	d, err := listing.ParseJSON([]byte(text))
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

// constraints checks what the tables must hold by themselves: each id once, what
// is required, and keys that lead somewhere. An id that stands twice keeps both rows
// from being taken in, since nobody can tell which is meant; the rest are notes, for
// HSDS asks for more than other directories have.
func (j *join) constraints() listing.Faults {
	var notes listing.Faults
	for _, table := range tableOrder {
		fields := columnsOf(table)
		first := map[string]*record{}
		for _, r := range j.tables[table] {
			if len(r.faults) > 0 {
				continue
			}
			if other := first[r.id]; other != nil && r.id != "" {
				r.fault("id", listing.CodeTwice, fmt.Sprintf("The same id stands in %s. Give each row an id of its own.", other.where))
			}
			first[r.id] = cmp.Or(first[r.id], r)
			for _, f := range fields {
				if _, there := r.cells[f.Name]; f.Required && !there && (table != "services.csv" || !hard(f.Name)) {
					notes = append(notes, listing.Fault{Path: r.where + ", " + f.Name, Code: listing.CodeMissing,
						Message: "HSDS requires a value in this column, and there is none."})
				}
			}
			for _, column := range slices.Sorted(maps.Keys(links[table])) {
				target := links[table][column]
				key, ok := r.cells[column].(string)
				if ok && j.byID[target][key] == nil {
					notes = append(notes, listing.Fault{Path: r.where + ", " + column, Code: listing.CodeDangling,
						Message: fmt.Sprintf("There is no row with the id %.60q in %s.", key, target)})
				}
			}
		}
	}
	return notes
}

// hard tells whether the lack of a column of services is a fault anyway.
func hard(column string) bool {
	return column == "id" || column == "name" || column == "status"
}
