package check

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed fields.tsv
var fieldTable string

// field is a property of an object of HSDS.
type field struct {
	kind     string // "string", "number", "object", or "list"
	object   string // that it holds, for an object or a list
	rule     string // a format, or the values allowed joined by |
	required bool
}

// objects are those of HSDS 3.2.3 by name.
var objects = readFields(fieldTable)

func readFields(table string) map[string]map[string]field {
	all := map[string]map[string]field{}
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		col := strings.Split(line, "\t")
		if len(col) != 5 {
			panic("check: fields.tsv: " + line) // part of this program, seen by every test
		}
		f := field{kind: col[2], rule: col[3], required: col[4] == "*"}
		switch inner := strings.TrimSuffix(strings.TrimPrefix(col[2], "["), "]"); {
		case inner != col[2]:
			f.kind, f.object = "list", inner
		case col[2] != "string" && col[2] != "number":
			f.kind, f.object = "object", col[2]
		}
		if all[col[0]] == nil {
			all[col[0]] = map[string]field{}
		}
		all[col[0]][col[1]] = f
	}
	return all
}

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
	fields := objects[object]
	for name, f := range fields {
		if _, there := m[name]; f.required && !there {
			faults = append(faults, fault{path: join(path, name), message: fmt.Sprintf("is missing; %s must have it", object)})
		}
	}
	for name, value := range m {
		f, known := fields[name]
		if !known {
			seen(object + "." + short(name, 60))
			continue
		}
		faults = append(faults, f.validate(value, join(path, name), depth, seen)...)
	}
	slices.SortFunc(faults, func(a, b fault) int { return strings.Compare(a.path, b.path) })
	return faults
}

func (f field) validate(v any, path string, depth int, seen func(string)) []fault {
	one := func(format string, args ...any) []fault {
		return []fault{{path: path, message: fmt.Sprintf(format, args...)}}
	}
	switch f.kind {
	case "number":
		if _, ok := v.(json.Number); !ok {
			return one("must be a number, is %s", typeName(v))
		}
	case "string":
		s, ok := v.(string)
		if !ok {
			return one("must be a string, is %s", typeName(v))
		}
		if strings.Contains(f.rule, "|") {
			if !slices.Contains(strings.Split(f.rule, "|"), s) {
				return one("must be one of %s, is %q", strings.ReplaceAll(f.rule, "|", ", "), short(s, 80))
			}
			return nil
		}
		if form, ok := forms[f.rule]; ok && !form.fits(s) {
			return []fault{{path: path, message: fmt.Sprintf("must be %s, is %q", form.name, short(s, 80)), soft: form.soft}}
		}
	case "object":
		return validate(f.object, v, path, depth+1, seen)
	case "list":
		items, ok := v.([]any)
		if !ok {
			return one("must be a list, is %s", typeName(v))
		}
		var faults []fault
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			if f.object == "string" {
				if _, ok := item.(string); !ok {
					faults = append(faults, fault{path: at, message: fmt.Sprintf("must be a string, is %s", typeName(item))})
				}
				continue
			}
			faults = append(faults, validate(f.object, item, at, depth+1, seen)...)
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
