package hsds

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// join puts the tables of a package together into services. A record stands
// under every object that one of its keys points at, as in the nested form of
// HSDS; a key that is followed is left out, since the nesting says it, and one
// that leads nowhere stays as it is.
//
// Records are read from the package's file when they are needed; of each it is
// remembered only, as two bits, whether it stands in a service and was found sound.
type join struct {
	*pack
	used   marks
	sound  marks             // what was read and has no faults of its own
	shared map[int64]*record // what many services have in common, read lately
	known  map[uint64]bool   // what was asked lately: whether there is a record, by its hash
	notes  listing.Faults
	more   int   // notes beyond maxNotes
	err    error // the first of reading; everything built after it is worth nothing
	// of the service that is being built:
	left   int // objects that it may still have
	faults listing.Faults
	blamed map[int64]bool // records whose faults are in faults
}

// maxNotes is how many notes of a package are told; of the others, how many there are.
const maxNotes = 1000

// How much is held of what was read or asked lately.
const (
	maxShared = 256
	maxKnown  = 4096
)

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

// linked are the values under which the index has a record: its own id is 0, one for
// each of its keys. The place of the record is added.
var linked = func() map[[2]string]uint64 {
	codes := map[[2]string]uint64{{"attributes.csv", "link_id"}: 1, {"metadata.csv", "resource_id"}: 2}
	for _, table := range slices.Sorted(maps.Keys(links)) {
		for _, column := range slices.Sorted(maps.Keys(links[table])) {
			codes[[2]string{table, column}] = uint64(len(codes) + 1)
		}
	}
	return codes
}()

const placeBits = 48

// anyTable is where keys point that may point at a record of whatever table.
const anyTable = ""

// hash is the key of the index for what points at a record, and for itself.
func (p *pack) hash(table, id string) uint64 { return rowHash(p.seed, table, id) }

func rowHash(seed maphash.Seed, table, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(table)
	h.WriteByte(0)
	h.WriteString(id)
	return h.Sum64()
}

// enter puts a record into the index.
func (p *pack) enter(r line) error {
	table, id := r.table.name, r.key("id")
	put := func(target, id string, code uint64) (err error) {
		if id != "" {
			err = p.index.Put(p.hash(target, id), code<<placeBits|uint64(r.at))
		}
		return err
	}
	err := errors.Join(put(table, id, 0), put(anyTable, id, 0))
	for column, target := range links[table] {
		err = errors.Join(err, put(target, r.key(column), linked[[2]string{table, column}]))
	}
	switch table {
	case "attributes.csv":
		err = errors.Join(err, put(anyTable, r.key("link_id"), linked[[2]string{table, "link_id"}]))
	case "metadata.csv":
		err = errors.Join(err, put(anyTable, r.key("resource_id"), linked[[2]string{table, "resource_id"}]))
	}
	return err
}

func newJoin(p *pack) *join {
	return &join{pack: p, used: newMarks(p), sound: newMarks(p), shared: map[int64]*record{}, known: map[uint64]bool{}}
}

// marks are one bit for each record.
type marks []uint64

func newMarks(p *pack) marks { return make(marks, p.file.Size()/leastRecord/64+1) }

func (m marks) set(at int64) { m[at/leastRecord/64] |= 1 << (at / leastRecord % 64) }

func (m marks) has(at int64) bool { return m[at/leastRecord/64]&(1<<(at/leastRecord%64)) != 0 }

// find calls f with the places of the records that have an id (code 0) or a key to it,
// in the order of their table, until it is false.
func (j *join) find(table, id string, code uint64, f func(at int64) bool) {
	if err := j.index.Find(j.hash(table, id), code<<placeBits, func(v uint64) bool {
		return v>>placeBits == code && f(int64(v&(1<<placeBits-1)))
	}); err != nil {
		j.fail(err)
	}
}

func (j *join) fail(err error) {
	if j.err == nil {
		j.err = err
	}
}

// there tells whether a table has a record with an id.
func (j *join) there(table, id string) bool {
	hash := j.hash(table, id)
	found, asked := j.known[hash]
	if !asked {
		j.find(table, id, 0, func(int64) bool { found = true; return false })
		if len(j.known) == maxKnown {
			clear(j.known)
		}
		j.known[hash] = found
	}
	return found
}

// group is what the index has under one id, by code: the places of the records whose
// keys point at it.
type group map[uint64][]int64

// group finds what points at an id of a table. Of each key it is a little more than
// one service may have, of locations all.
func (j *join) group(table, id string) group {
	g := group{}
	if err := j.index.Find(j.hash(table, id), 1<<placeBits, func(v uint64) bool {
		code := v >> placeBits
		if len(g[code]) <= maxObjects || code == codeLocation {
			g[code] = append(g[code], int64(v&(1<<placeBits-1)))
		}
		return true
	}); err != nil {
		j.fail(err)
	}
	return g
}

var codeLocation = linked[[2]string{"locations.csv", "organization_id"}]

// first is the first record of a table with an id; nil when there is none.
func (j *join) first(table, id string) (r *record) {
	if id == "" {
		return nil
	}
	j.find(table, id, 0, func(at int64) bool {
		if r = j.record(j.tables[table], at); r != nil && r.id != id {
			r = nil // another id with the same hash
		}
		return r == nil
	})
	return r
}

// record reads the record that waits at a place; nil when that fails.
func (j *join) record(t *table, at int64) *record {
	if r := j.shared[at]; r != nil {
		return r
	}
	piece, _, err := j.file.At(at)
	if err != nil {
		j.fail(err)
		return nil
	}
	r := t.record(at, piece)
	j.look(r)
	if standsAlone[t.name] && t.name != "services.csv" {
		if len(j.shared) == maxShared {
			clear(j.shared)
		}
		j.shared[at] = r
	}
	return r
}

// look remembers whether a record is sound, and looks whether its id stands twice.
func (j *join) look(r *record) {
	if len(r.faults) == 0 {
		j.sound.set(r.at)
	}
	j.twice(r)
}

// leftOver goes through the records of a table that stand in no service.
func (j *join) leftOver(name string, f func(*record) bool) {
	j.pieces(name, func(t *table, at int64, piece []byte) bool {
		if j.used.has(at) {
			return true
		}
		r := t.record(at, piece)
		j.look(r)
		return f(r)
	})
}

func (j *join) pieces(name string, f func(t *table, at int64, piece []byte) bool) {
	t := j.tables[name]
	if t == nil {
		return
	}
	if err := j.file.Each(t.begin, t.end, func(at int64, piece []byte) bool { return f(t, at, piece) && j.err == nil }); err != nil {
		j.fail(err)
	}
}

// twice adds a fault to a record whose id an earlier one has, since nobody can tell
// which is meant.
func (j *join) twice(r *record) {
	if r.id == "" || len(r.faults) > 0 {
		return
	}
	j.find(r.table.name, r.id, 0, func(at int64) bool {
		if at >= r.at {
			return false
		}
		piece, _, err := j.file.At(at)
		if err != nil {
			j.fail(err)
			return false
		}
		other := r.table.record(at, piece)
		if other.id != r.id || len(other.faults) > 0 {
			return true
		}
		r.fault("id", listing.CodeTwice, fmt.Sprintf("The same id stands in %s. Give each row an id of its own.", other.where()))
		return false
	})
}

func (j *join) note(f listing.Fault) {
	if len(j.notes) == maxNotes {
		j.more++
		return
	}
	j.notes = append(j.notes, f)
}

// rows builds the services in the order of their table.
func (j *join) rows(emit func(Row) bool) error {
	var last *Row // waits for what is to be said at the end
	stopped := false
	j.pieces("services.csv", func(t *table, at int64, piece []byte) bool {
		if last != nil && !emit(*last) {
			stopped = true
			return false
		}
		r := t.record(at, piece)
		j.look(r)
		row := j.service(r)
		last = &row
		return true
	})
	if last != nil && !stopped {
		j.unused()
		j.constraints()
		last.Notes, last.MoreNotes = j.notes, j.more
		stopped = j.err == nil && !emit(*last)
	}
	switch {
	case j.err != nil:
		return j.err
	case stopped:
		return errStop
	}
	return j.broken(emit)
}

func (j *join) service(r *record) Row {
	j.left, j.faults, j.blamed = maxObjects, nil, map[int64]bool{}
	row := Row{Where: r.where(), Document: j.object(r, r)}
	if len(r.cells) == 0 && len(r.faults) > 0 {
		row.Document = nil
	}
	if j.left < 0 {
		row.Document = nil
		j.faults = append(j.faults, listing.Fault{Code: listing.CodeTooLarge,
			Message: fmt.Sprintf("More than %d records belong to this service. Check the keys of the other tables.", maxObjects)})
	}
	row.Faults = j.faults
	return row
}

// broken emits the records that cannot be read and stand in no service: the
// cell that says where they belong may be the broken one.
func (j *join) broken(emit func(Row) bool) error {
	for _, table := range tableOrder {
		j.leftOver(table, func(r *record) bool {
			if len(r.faults) > 0 && !emit(Row{Where: r.where(), Faults: r.faults}) {
				j.fail(errStop)
			}
			return j.err == nil
		})
	}
	return j.err
}

// object builds what a record stands for with all that belongs to it, as part
// of service. The cells of a record that is not shared are used up.
func (j *join) object(r, service *record) map[string]any {
	j.left--
	if j.left < 0 || j.err != nil {
		return nil
	}
	table := r.table.name
	j.used.set(r.at)
	if !j.blamed[r.at] && len(r.faults) > 0 {
		j.blamed[r.at] = true
		for _, f := range r.faults {
			if r.at != service.at {
				f.Path = strings.TrimSuffix(r.where()+", "+f.Path, ", ")
			}
			j.faults = append(j.faults, f)
		}
	}
	out := r.cells
	if j.shared[r.at] == r {
		out = maps.Clone(out) // others need it as it is
	}
	for _, o := range single[table] {
		if target := j.first(links[table][o.key], r.key(o.key)); target != nil {
			inner := j.object(target, service)
			if inner != nil && target.id == madeID(r.id+"/"+o.field, target.table.name) {
				delete(inner, "id") // it was given one to stand in a table
			}
			out[o.field] = inner
		}
	}
	for column, v := range out {
		if j.followed(table, column, v) {
			delete(out, column)
		}
	}
	if r.id == "" {
		return out
	}
	if len(nested[table]) > 0 {
		g := j.group(table, r.id)
		for _, l := range nested[table] {
			j.list(out, r, l, g, service)
		}
	}
	if table != "metadata.csv" && (j.tables["attributes.csv"] != nil || j.tables["metadata.csv"] != nil) {
		g := j.group(anyTable, r.id)
		if table != "attributes.csv" {
			j.list(out, r, list{"attributes", "attributes.csv", "link_id"}, g, service)
		}
		j.list(out, r, list{"metadata", "metadata.csv", "resource_id"}, g, service)
	}
	return out
}

// list sets a field of an object to the objects of the records of a group whose key
// points at it, if there are any.
func (j *join) list(out map[string]any, r *record, l list, g group, service *record) {
	places := g[linked[[2]string{l.table, l.key}]]
	if l.table == "locations.csv" && len(places) > maxLocations {
		given := j.givenAt(service)
		for _, at := range places {
			j.used.set(at) // left out on purpose, not for want of a service
		}
		places = slices.DeleteFunc(places, func(at int64) bool { return !given[at] })
	}
	var objects []any
	for _, at := range places {
		if j.left < 0 || j.err != nil {
			return
		}
		x := j.record(j.tables[l.table], at)
		if x == nil || x.key(l.key) != r.id {
			continue
		}
		inner := j.object(x, service)
		if inner != nil && x.id == madeID(fmt.Sprintf("%s/%s/%d", r.id, l.field, len(objects)), l.table) {
			delete(inner, "id") // it was given one to stand in a table
		}
		objects = append(objects, inner)
	}
	if objects != nil {
		out[l.field] = objects
	}
}

// givenAt are the places of the locations at which a service is given.
func (j *join) givenAt(service *record) map[int64]bool {
	given := map[int64]bool{}
	t := j.tables["service_at_location.csv"]
	if t == nil || service.id == "" {
		return given
	}
	j.find("services.csv", service.id, linked[[2]string{t.name, "service_id"}], func(at int64) bool {
		if x := j.record(t, at); x != nil && x.key("service_id") == service.id && x.key("location_id") != "" {
			j.find("locations.csv", x.key("location_id"), 0, func(at int64) bool { given[at] = true; return true })
		}
		return j.err == nil && len(given) <= maxObjects
	})
	return given
}

// followed tells whether a cell is a key that the nesting already says.
func (j *join) followed(table, column string, v any) bool {
	key, ok := v.(string)
	if !ok {
		return false
	}
	if (table == "attributes.csv" && column == "link_id") || (table == "metadata.csv" && column == "resource_id") {
		return j.there(anyTable, key)
	}
	target := links[table][column]
	return target != "" && j.there(target, key)
}

// unused notes the records that belong to no service.
func (j *join) unused() {
	for _, table := range tableOrder {
		if standsAlone[table] {
			continue
		}
		j.leftOver(table, func(r *record) bool {
			if len(r.faults) == 0 {
				j.note(listing.Fault{Path: r.where(), Code: listing.CodeDangling,
					Message: "This row belongs to no service of the package and was left out. Check its keys."})
			}
			return true
		})
	}
}
