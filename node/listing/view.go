package listing

import (
	"reflect"
	"slices"
	"strconv"
)

// Listing returns the typed view of d and every value that has the wrong type,
// by path. The view is never nil: a value of the wrong type is left out of it,
// which reads as absent. Unknown fields are passed over, null reads as absent.
func (d Document) Listing() (*Listing, Faults) {
	l, _, faults := d.Read()
	return l, faults
}

// Read is Listing with the encoded public part of d, nil when that is over
// [MaxBody].
func (d Document) Read() (l *Listing, public []byte, faults Faults) {
	l = &Listing{}
	tree, err := canonicalDocument(d)
	if err != nil {
		return l, nil, Faults{{"", CodeMalformed, "This listing cannot be read: " + err.Error() + ". Correct it and try again."}}
	}
	fill(reflect.ValueOf(l).Elem(), listingShape, tree, "", &faults)
	if public, err = d.Public().Encode(); err == nil {
		l.size = len(public)
	} else {
		l.size = MaxBody + 1 // the only reason left
	}
	return l, public, faults
}

// View returns the typed view of a record body. A value of the wrong type
// reads as absent; only bytes that are no document are an error
// ([ErrMalformed]).
func View(body []byte) (*Listing, error) {
	l := &Listing{}
	r := bodyReader{b: string(body[:min(len(body), MaxBody)])}
	if r.b == "" || r.b[0]>>5 != cborMap || !r.into(reflect.ValueOf(l).Elem(), listingShape, MaxDepth) || r.at < len(body) {
		// Rare, and slow: another version wrote a type that is not ours, or
		// the bytes are broken. The walker tells which.
		d, err := DecodeDocument(body)
		if err != nil {
			return nil, err
		}
		l, _ = d.Listing()
	}
	l.size = len(body)
	return l, nil
}

// fill sets v from a tree of the given shape and adds a fault for each value
// that does not fit.
func fill(v reflect.Value, s *shape, tree any, path string, faults *Faults) {
	if tree == nil {
		return
	}
	wrong := func() {
		faults.add(path, CodeWrongType, "Want %s, have %s. Correct the value or leave it out.", s.kind, typeName(tree))
	}
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		before := len(*faults)
		fill(fresh.Elem(), s, tree, path, faults)
		if s.kind == kindObject || len(*faults) == before {
			v.Set(fresh)
		}
		return
	}
	switch s.kind {
	case kindText:
		t, ok := tree.(string)
		if !ok {
			wrong()
			return
		}
		v.SetString(t)
	case kindBool:
		t, ok := tree.(bool)
		if !ok {
			wrong()
			return
		}
		v.SetBool(t)
	case kindNumber:
		f, ok := number(tree)
		if !ok {
			wrong()
			return
		}
		v.SetFloat(f)
	case kindWhole:
		i, ok := tree.(int64) // a canonical tree holds whole numbers so
		if !ok {
			wrong()
			return
		}
		v.SetInt(i)
	case kindList:
		t, ok := tree.([]any)
		if !ok {
			wrong()
			return
		}
		list := reflect.MakeSlice(v.Type(), len(t), len(t))
		for i, x := range t {
			fill(list.Index(i), s.elem, x, path+"["+strconv.Itoa(i)+"]", faults)
		}
		v.Set(list)
	case kindMap, kindObject:
		t, ok := tree.(map[string]any)
		if !ok {
			wrong()
			return
		}
		fillObject(v, s, t, path, faults)
	}
}

func fillObject(v reflect.Value, s *shape, tree map[string]any, path string, faults *Faults) {
	if path != "" {
		path += "."
	}
	if s.kind == kindObject {
		for _, name := range s.sorted {
			if x, ok := tree[name]; ok {
				fill(v.FieldByIndex(s.fields[name].index), s.fields[name].shape, x, path+name, faults)
			}
		}
		return
	}
	keys := make([]string, 0, len(tree))
	for k := range tree {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m := reflect.MakeMapWithSize(v.Type(), len(tree))
	for _, k := range keys {
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem, s.elem, tree[k], path+k, faults)
		m.SetMapIndex(reflect.ValueOf(k), elem)
	}
	v.Set(m)
}

// number reads a number of a canonical tree.
func number(v any) (float64, bool) {
	switch t := v.(type) {
	case int64:
		return float64(t), true
	case uint64:
		return float64(t), true
	case float64:
		return t, true
	}
	return 0, false
}
