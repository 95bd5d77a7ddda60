package listing

import (
	"math"
	"regexp"
	"strings"
	"time"
)

// Public returns the part of d that may be signed and leave the node: the
// known public fields of HSDS 3.2.3 and of the profile, at every level, with the
// values as they are. It shares nothing with d, and Public of it is equal to it.
//
// Left out are unknown fields, HSDS metadata, assurer_email, address
// attention, funding_until and internal_notes; a contact's name unless consent_date
// beside it is a date; values that are no JSON; and containers that are not
// of the shape that the field has, since nobody can tell what they hold.
//
// Unless address_precision is absent or full, the place is left out too:
// locations and what points at them, the description and areas of a service at
// a location, geographic extents, and the value of a channel that is a place
// (in person, post, or a type that is not known). What the region says stays, its
// centroid rounded to a tenth of a degree.
func (d Document) Public() Document {
	f := filter{protected: protectedPlace(d["address_precision"])}
	out, _ := f.object(listingShape, map[string]any(d), MaxDepth)
	tree, _ := out.(map[string]any)
	return tree
}

// protectedPlace reads address_precision with caution: what is not known to
// mean full protects.
func protectedPlace(v any) bool {
	s, ok := v.(string)
	return v != nil && !(ok && (s == "" || s == PrecisionFull))
}

// filter copies the public part of a tree.
type filter struct{ protected bool }

// value copies v if it has the shape s. depth is how many levels it may open.
func (f filter) value(s *shape, v any, depth int) (any, bool) {
	if v == nil {
		return nil, true // null says that the owner cleared the field
	}
	switch s.kind {
	case kindObject:
		return f.object(s, v, depth)
	case kindMap:
		return f.translations(v, depth)
	case kindList:
		list, ok := canonicalOnly[[]any](v, depth)
		if !ok {
			return nil, false
		}
		out := make([]any, 0, len(list))
		for _, x := range list {
			if c, ok := f.value(s.elem, x, depth-1); ok {
				out = append(out, c)
			}
		}
		return out, true
	}
	return scalarValue(v)
}

func (f filter) object(s *shape, v any, depth int) (any, bool) {
	tree, ok := asMap(v)
	if !ok || depth == 0 {
		return nil, false
	}
	out := make(map[string]any, len(tree))
	for name, x := range tree {
		fd, known := s.fields[name]
		if !known || !f.shared(fd, tree) {
			continue
		}
		if c, ok := f.value(fd.shape, x, depth-1); ok {
			if fd.share == shareCoarse && f.protected {
				c = coarse(c)
			}
			out[name] = c
		}
	}
	return out, true
}

// shared decides whether a field of the object tree may leave.
func (f filter) shared(fd field, tree map[string]any) bool {
	switch fd.share {
	case shareNever:
		return false
	case shareConsent:
		date, _ := tree["consent_date"].(string)
		_, err := time.Parse(time.DateOnly, date)
		return err == nil
	case sharePlace:
		return !f.protected
	case shareChannel:
		kind, _ := tree["type"].(string)
		return !f.protected || (kind != "in_person" && kind != "post" && kind != Other && Known(VocabularyChannel, kind))
	}
	return true
}

// coarse rounds a coordinate to a tenth of a degree, some 10 km; what is no
// number is left out.
func coarse(v any) any {
	n, ok := number(v)
	if !ok {
		return nil
	}
	return canonicalFloat(math.Round(n*10) / 10)
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$`)

// translations copies the texts of public fields. A key is the path of a field,
// with the id of the object where it is one of a list: "description",
// "channels.c1.label".
func (f filter) translations(v any, depth int) (any, bool) {
	languages, ok := asMap(v)
	if !ok || depth < 3 {
		return nil, false
	}
	out := make(map[string]any, len(languages))
	for tag, v := range languages {
		texts, ok := asMap(v)
		if !ok || !languageTag.MatchString(tag) {
			continue
		}
		kept := make(map[string]any, len(texts))
		for path, t := range texts {
			if !f.translatable(path) {
				continue
			}
			if c, ok := f.object(translationShape, t, depth-2); ok {
				kept[path] = c
			}
		}
		out[tag] = kept
	}
	return out, true
}

var translationShape = listingShape.fields["translations"].shape.elem.elem

// translatable tells whether path leads to a text that is public whatever
// stands beside it.
func (f filter) translatable(path string) bool {
	s := listingShape
	for step := range strings.SplitSeq(path, ".") {
		switch s.kind {
		case kindList: // the step is an id
			s = s.elem
			continue
		case kindObject:
		default:
			return false
		}
		fd, known := s.fields[step]
		if !known || (fd.share != "" && fd.share != sharePlace) || (fd.share == sharePlace && f.protected) {
			return false
		}
		s = fd.shape
	}
	return s.kind == kindText
}

// scalarValue copies a value that holds no others.
func scalarValue(v any) (any, bool) {
	switch v.(type) {
	case []any, map[string]any, Document, []string, []map[string]any, []Document:
		return nil, false
	}
	c, err := canonical(v, 0)
	return c, err == nil
}

func asMap(v any) (map[string]any, bool) {
	switch t := v.(type) {
	case map[string]any:
		return t, t != nil
	case Document:
		return t, t != nil
	}
	return nil, false
}

// canonicalOnly returns the canonical form of v if it is of type T.
func canonicalOnly[T any](v any, depth int) (T, bool) {
	var none T
	if depth == 0 {
		return none, false
	}
	if t, ok := v.(T); ok {
		return t, true
	}
	c, err := canonical(v, depth)
	if err != nil {
		return none, false
	}
	t, ok := c.(T)
	return t, ok
}
