package check

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// fault is what is wrong at one place of an object.
type fault struct {
	path    string
	message string
	soft    bool // it can be read, but not as what it says it is
}

// maxDepth is deeper than any object of HSDS nests.
const maxDepth = 16

// validate compares a value with an object of HSDS. Properties that HSDS does not
// have are no faults; seen is told of them.
func validate(object string, v any, path string, depth int, seen func(string)) []fault {
	m, ok := v.(map[string]any)
	if !ok {
		return []fault{{path: path, message: fmt.Sprintf("must be an object, is %s", typeName(v))}}
	}
	if depth > maxDepth {
		return []fault{{path: path, message: "nests deeper than any object of HSDS"}}
	}
	var faults []fault
	for _, f := range schema.Fields(object) {
		if _, there := m[f.Name]; f.Required && !there {
			faults = append(faults, fault{path: join(path, f.Name), message: fmt.Sprintf("is missing; %s must have it", object)})
		}
	}
	for name, value := range m {
		f, known := schema.Find(object, name)
		if !known {
			seen(object + "." + short(name, 60))
			continue
		}
		faults = append(faults, validateField(f, value, join(path, name), depth, seen)...)
	}
	slices.SortFunc(faults, func(a, b fault) int { return strings.Compare(a.path, b.path) })
	return faults
}

func validateField(f schema.Field, v any, path string, depth int, seen func(string)) []fault {
	one := func(format string, args ...any) []fault {
		return []fault{{path: path, message: fmt.Sprintf(format, args...)}}
	}
	switch f.Kind {
	case schema.Number:
		if _, ok := v.(json.Number); !ok {
			return one("must be a number, is %s", typeName(v))
		}
	case schema.String:
		s, ok := v.(string)
		if !ok {
			return one("must be a string, is %s", typeName(v))
		}
		if f.Values != nil && !slices.Contains(f.Values, s) {
			return one("must be one of %s, is %q", strings.Join(f.Values, ", "), short(s, 80))
		}
		if form, ok := forms[f.Format]; ok && !form.fits(s) {
			return []fault{{path: path, message: fmt.Sprintf("must be %s, is %q", form.name, short(s, 80)), soft: form.soft}}
		}
	case schema.Object:
		return validate(f.Object, v, path, depth+1, seen)
	case schema.List:
		items, ok := v.([]any)
		if !ok {
			return one("must be a list, is %s", typeName(v))
		}
		var faults []fault
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			if f.Object == "string" {
				if _, ok := item.(string); !ok {
					faults = append(faults, fault{path: at, message: fmt.Sprintf("must be a string, is %s", typeName(item))})
				}
				continue
			}
			faults = append(faults, validate(f.Object, item, at, depth+1, seen)...)
		}
		return faults
	}
	return nil
}

// form is how a string is written. The schemas for JSON ask for some of them;
// the soft ones are asked for by the tabular package only.
type form struct {
	name string
	soft bool
	fits func(string) bool
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	timeForm = regexp.MustCompile(`^([01]\d|2[0-4]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$`)
)

var forms = map[string]form{
	"uuid":      {name: "a UUID", fits: uuidForm.MatchString},
	"uri":       {name: "a URI with its scheme", fits: func(s string) bool { u, err := url.Parse(s); return err == nil && u.IsAbs() }},
	"email":     {name: "an e-mail address", fits: isEmail},
	"date-time": {name: "a date and time as in RFC 3339", fits: func(s string) bool { _, err := time.Parse(time.RFC3339, strings.ToUpper(s)); return err == nil }},
	"date":      {name: "a date, 2026-01-31", soft: true, fits: func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil }},
	"time":      {name: "a time, 09:30", soft: true, fits: timeForm.MatchString},
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + short(name, 60)
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

// short cuts what the other side sent to n characters.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
