package hsds

import (
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// join puts the tables of a package together into services. A record stands
// under every object that one of its keys points at, as in the nested form of
// HSDS; a key that is followed is left out, since the nesting says it, and one
// that leads nowhere stays as it is.
type join struct {
	tables tables
	byID   map[string]map[string]*record   // table → id → record
	byKey  map[string]map[string][]*record // "table column" → value → records
	ids    map[string]bool                 // of all tables, for attributes and metadata
	// of the service that is being built:
	left   int // objects that it may still have
	faults listing.Faults
	blamed map[*record]bool // records whose faults are in faults
}

// maxObjects bounds the objects of one service: a few records can be joined
// into millions.
const maxObjects = 2000

// maxLocations is how many locations of an organization are nested in each of
// its services; of more, only those at which the service is given.
const maxLocations = 16

// links are the keys of each table and the table that each points at.
var links = map[string]map[string]string{
	"services.csv":                 {"organization_id": "organizations.csv", "program_id": "programs.csv"},
	"programs.csv":                 {"organization_id": "organizations.csv"},
	"locations.csv":                {"organization_id": "organizations.csv"},
	"organization_identifiers.csv": {"organization_id": "organizations.csv"},
	"url.csv":                      {"organization_id": "organizations.csv", "service_id": "services.csv"},
	"funding.csv":                  {"organization_id": "organizations.csv", "service_id": "services.csv"},
	"service_at_location.csv":      {"service_id": "services.csv", "location_id": "locations.csv"},
	"service_areas.csv":            {"service_id": "services.csv", "service_at_location_id": "service_at_location.csv"},
	"cost_options.csv":             {"service_id": "services.csv"},
	"required_documents.csv":       {"service_id": "services.csv"},
	"service_capacity.csv":         {"service_id": "services.csv", "unit_id": "units.csv"},
	"addresses.csv":                {"location_id": "locations.csv"},
	"accessibility.csv":            {"location_id": "locations.csv"},
	"taxonomy_terms.csv":           {"taxonomy_id": "taxonomies.csv"},
	"attributes.csv":               {"taxonomy_term_id": "taxonomy_terms.csv"},
	"languages.csv":                {"service_id": "services.csv", "location_id": "locations.csv", "phone_id": "phones.csv"},
	"schedules.csv": {"service_id": "services.csv", "location_id": "locations.csv",
		"service_at_location_id": "service_at_location.csv"},
	"contacts.csv": {"organization_id": "organizations.csv", "service_id": "services.csv",
		"service_at_location_id": "service_at_location.csv", "location_id": "locations.csv"},
	"phones.csv": {"organization_id": "organizations.csv", "service_id": "services.csv", "location_id": "locations.csv",
		"service_at_location_id": "service_at_location.csv", "contact_id": "contacts.csv"},
}

// standsAlone are the tables whose records are of use without a service.
var standsAlone = map[string]bool{
	"services.csv": true, "meta_table_descriptions.csv": true, "taxonomies.csv": true,
	"taxonomy_terms.csv": true, "units.csv": true, "organizations.csv": true, "programs.csv": true,
}

// list is a field that holds the records of a table whose key points at the
// object.
type list struct{ field, table, key string }

// nested are the list fields of the objects of each table.
var nested = map[string][]list{
	"services.csv": {
		{"additional_urls", "url.csv", "service_id"}, {"phones", "phones.csv", "service_id"},
		{"schedules", "schedules.csv", "service_id"}, {"service_areas", "service_areas.csv", "service_id"},
		{"service_at_locations", "service_at_location.csv", "service_id"}, {"languages", "languages.csv", "service_id"},
		{"funding", "funding.csv", "service_id"}, {"cost_options", "cost_options.csv", "service_id"},
		{"required_documents", "required_documents.csv", "service_id"}, {"contacts", "contacts.csv", "service_id"},
		{"capacities", "service_capacity.csv", "service_id"},
	},
	"organizations.csv": {
		{"additional_websites", "url.csv", "organization_id"}, {"funding", "funding.csv", "organization_id"},
		{"contacts", "contacts.csv", "organization_id"}, {"phones", "phones.csv", "organization_id"},
		{"locations", "locations.csv", "organization_id"}, {"programs", "programs.csv", "organization_id"},
		{"organization_identifiers", "organization_identifiers.csv", "organization_id"},
	},
	"service_at_location.csv": {
		{"service_areas", "service_areas.csv", "service_at_location_id"}, {"contacts", "contacts.csv", "service_at_location_id"},
		{"phones", "phones.csv", "service_at_location_id"}, {"schedules", "schedules.csv", "service_at_location_id"},
	},
	"locations.csv": {
		{"languages", "languages.csv", "location_id"}, {"addresses", "addresses.csv", "location_id"},
		{"contacts", "contacts.csv", "location_id"}, {"accessibility", "accessibility.csv", "location_id"},
		{"phones", "phones.csv", "location_id"}, {"schedules", "schedules.csv", "location_id"},
	},
	"contacts.csv": {{"phones", "phones.csv", "contact_id"}},
	"phones.csv":   {{"languages", "languages.csv", "phone_id"}},
}

// one is a field that holds the single record that a key points at.
type one struct{ field, key string }

var single = map[string][]one{
	"services.csv":            {{"organization", "organization_id"}, {"program", "program_id"}},
	"service_at_location.csv": {{"location", "location_id"}},
	"service_capacity.csv":    {{"unit", "unit_id"}},
	"attributes.csv":          {{"taxonomy_term", "taxonomy_term_id"}},
	"taxonomy_terms.csv":      {{"taxonomy_detail", "taxonomy_id"}},
}

func newJoin(t tables) *join {
	j := &join{tables: t, byID: map[string]map[string]*record{}, byKey: map[string]map[string][]*record{}, ids: map[string]bool{}}
	for table, records := range t {
		j.byID[table] = make(map[string]*record, len(records))
		for _, r := range records {
			if r.id != "" && j.byID[table][r.id] == nil {
				j.byID[table][r.id] = r
				j.ids[r.id] = true
			}
		}
	}
	for table := range t {
		for column := range links[table] {
			j.index(table, column)
		}
	}
	j.index("attributes.csv", "link_id")
	j.index("metadata.csv", "resource_id")
	return j
}

// index finds the records of a table by what one of their keys says.
func (j *join) index(table, column string) {
	at := map[string][]*record{}
	for _, r := range j.tables[table] {
		if v, ok := r.cells[column].(string); ok {
			at[v] = append(at[v], r)
		}
	}
	j.byKey[table+" "+column] = at
}

// rows builds the services in the order of their table.
func (j *join) rows(emit func(Row) bool) error {
	services := j.tables["services.csv"]
	notes := j.constraints()
	for i, r := range services {
		j.left, j.faults, j.blamed = maxObjects, nil, map[*record]bool{}
		row := Row{Where: r.where, Document: j.object("services.csv", r, r)}
		if len(r.cells) == 0 && len(r.faults) > 0 {
			row.Document = nil
		}
		if j.left < 0 {
			row.Document = nil
			j.faults = append(j.faults, listing.Fault{Code: listing.CodeTooLarge,
				Message: fmt.Sprintf("More than %d records belong to this service. Check the keys of the other tables.", maxObjects)})
		}
		row.Faults = j.faults
		if i == len(services)-1 {
			row.Notes = append(j.unused(), notes...)
		}
		if !emit(row) {
			return errStop
		}
	}
	return j.broken(emit)
}

// broken emits the records that cannot be read and stand in no service: the
// cell that says where they belong may be the broken one.
func (j *join) broken(emit func(Row) bool) error {
	for _, table := range tableOrder {
		for _, r := range j.tables[table] {
			if !r.used && len(r.faults) > 0 && !emit(Row{Where: r.where, Faults: r.faults}) {
				return errStop
			}
		}
	}
	return nil
}

// object builds what a record stands for with all that belongs to it, as part
// of service.
func (j *join) object(table string, r, service *record) map[string]any {
	j.left--
	if j.left < 0 {
		return nil
	}
	r.used = true
	if !j.blamed[r] {
		j.blamed[r] = true
		for _, f := range r.faults {
			if r != service {
				f.Path = strings.TrimSuffix(r.where+", "+f.Path, ", ")
			}
			j.faults = append(j.faults, f)
		}
	}
	out := make(map[string]any, len(r.cells))
	for column, v := range r.cells {
		if !j.followed(table, column, v) {
			out[column] = v
		}
	}
	for _, o := range single[table] {
		key, _ := r.cells[o.key].(string)
		if target := j.byID[links[table][o.key]][key]; key != "" && target != nil {
			inner := j.object(links[table][o.key], target, service)
			if inner != nil && target.id == madeID(r.id+"/"+o.field, links[table][o.key]) {
				delete(inner, "id") // it was given one to stand in a table
			}
			out[o.field] = inner
		}
	}
	if r.id == "" {
		return out
	}
	for _, l := range nested[table] {
		j.list(out, r.id, l.field, l.table, j.byKey[l.table+" "+l.key][r.id], service)
	}
	if table != "attributes.csv" && table != "metadata.csv" {
		j.list(out, r.id, "attributes", "attributes.csv", j.byKey["attributes.csv link_id"][r.id], service)
	}
	if table != "metadata.csv" {
		j.list(out, r.id, "metadata", "metadata.csv", j.byKey["metadata.csv resource_id"][r.id], service)
	}
	return out
}

// list sets a field of the object with an id to the objects of some records, if
// there are any.
func (j *join) list(out map[string]any, id, field, table string, records []*record, service *record) {
	few := table != "locations.csv" || len(records) <= maxLocations
	var objects []any
	for _, r := range records {
		if !few && !j.givenAt(service, r) {
			continue
		}
		if j.left < 0 {
			return
		}
		inner := j.object(table, r, service)
		if inner != nil && r.id == madeID(fmt.Sprintf("%s/%s/%d", id, field, len(objects)), table) {
			delete(inner, "id") // it was given one to stand in a table
		}
		objects = append(objects, inner)
	}
	if objects != nil {
		out[field] = objects
	}
}

// givenAt tells whether a service is given at a location.
func (j *join) givenAt(service, location *record) bool {
	location.used = true // left out on purpose, not for want of a service
	for _, s := range j.byKey["service_at_location.csv location_id"][location.id] {
		if s.cells["service_id"] == service.id {
			return true
		}
	}
	return false
}

// followed tells whether a cell is a key that the nesting already says.
func (j *join) followed(table, column string, v any) bool {
	key, ok := v.(string)
	if !ok {
		return false
	}
	if (table == "attributes.csv" && column == "link_id") || (table == "metadata.csv" && column == "resource_id") {
		return j.ids[key]
	}
	target := links[table][column]
	return target != "" && j.byID[target][key] != nil
}

// unused notes the records that belong to no service.
func (j *join) unused() listing.Faults {
	var notes listing.Faults
	for _, table := range tableOrder {
		for _, r := range j.tables[table] {
			if r.used || standsAlone[table] || len(r.faults) > 0 {
				continue
			}
			notes = append(notes, listing.Fault{Path: r.where, Code: listing.CodeDangling,
				Message: "This row belongs to no service of the package and was left out. Check its keys."})
		}
	}
	return notes
}
