package editorial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// tell keeps a change of a dry run for the report, as far as there is room.
func (in *intake) tell(c *control.Change) {
	switch {
	case c == nil:
	case len(in.report.Changes) == control.MaxChanges:
		in.report.MoreChanges++
	default:
		in.report.Changes = append(in.report.Changes, *c)
	}
}

// difference says what would become of a listing, field by field.
func difference(l *looked, held []byte, doc listing.Document) (*control.Change, error) {
	name, _ := doc["name"].(string)
	c := &control.Change{Kind: "added", Row: l.where, ID: l.id, Name: name}
	if !l.known {
		return c, nil
	}
	old, err := listing.ParseJSON(held)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", l.id, err)
	}
	now, err := listing.ParseJSON(doc.JSON()) // the same types as in old
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", l.id, err)
	}
	c.Kind = "changed"
	compare(c, "", map[string]any(old), map[string]any(now))
	return c, nil
}

// compare adds the fields in which two values differ.
func compare(c *control.Change, path string, a, b any) {
	x, xo := a.(map[string]any)
	y, yo := b.(map[string]any)
	if xo && yo {
		keys := slices.Sorted(maps.Keys(x))
		for _, k := range slices.Sorted(maps.Keys(y)) {
			if _, both := x[k]; !both {
				keys = append(keys, k)
			}
		}
		for _, k := range keys {
			at := k
			if path != "" {
				at = path + "." + k
			}
			compare(c, at, x[k], y[k])
		}
		return
	}
	v, vo := a.([]any)
	w, wo := b.([]any)
	if vo && wo && len(v) == len(w) && len(v) > 0 && objects(v) && objects(w) {
		for i := range v {
			compare(c, fmt.Sprintf("%s[%d]", path, i), v[i], w[i])
		}
		return
	}
	before, after := shown(a), shown(b)
	if !bytes.Equal(raw(a), raw(b)) && len(c.Fields) < control.MaxChangedFields {
		c.Fields = append(c.Fields, control.FieldChange{Path: path, Before: before, After: after})
	}
}

func objects(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return !ok })
}

// raw is a value as JSON; nil for one that is not there.
func raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	return listing.Document{"": v}.JSON()
}

// shown is a value for a person: null when it is too long.
func shown(v any) json.RawMessage {
	b := raw(v)
	if b == nil {
		return nil
	}
	b = b[len(`{"":`) : len(b)-1]
	if len(b) > control.MaxShown {
		return json.RawMessage("null")
	}
	return b
}
