package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Keys are the full names of all keys ("federation.listen"), in the order of the
// file.
func Keys() []string {
	var keys []string
	walkFields(reflect.ValueOf(&Config{}).Elem(), "", func(key string, _ reflect.Value) { keys = append(keys, key) })
	return keys
}

// Get is the value of a key as TOML text ("\"info\"", "true"). It panics on a key
// that is not one of [Keys].
func (c Config) Get(key string) string {
	f, ok := fieldsOf(&c)[key]
	if !ok {
		panic("config: no key " + key)
	}
	return f.toml()
}

// field is one key of one Config.
type field struct{ v reflect.Value }

func fieldsOf(c *Config) map[string]field {
	fields := map[string]field{}
	walkFields(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) { fields[key] = field{v} })
	return fields
}

func walkFields(v reflect.Value, prefix string, visit func(string, reflect.Value)) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("toml")
		if f := v.Field(i); f.Kind() == reflect.Struct {
			walkFields(f, name+".", visit)
		} else {
			visit(name, f)
		}
	}
}

// setValue takes a value as TOML gives it.
func (f field) setValue(value any) error {
	switch f.v.Interface().(type) {
	case string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf(`must be text in quotes, for example "%v"`, value)
		}
		f.v.SetString(s)
	case bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Errorf("must be true or false, without quotes")
		}
		f.v.SetBool(b)
	case Size:
		if n, ok := value.(int64); ok && n >= 0 {
			f.v.SetInt(n)
			return nil
		}
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf(`must be a size in quotes, for example "512MiB"`)
		}
		return f.setText(s)
	case Texts:
		texts, err := parseTexts(value)
		if err != nil {
			return err
		}
		f.v.Set(reflect.ValueOf(texts))
	case []string:
		list, ok := value.([]any)
		if !ok {
			return fmt.Errorf(`must be a list, for example ["node.example.org:7946"]`)
		}
		out := make([]string, 0, len(list))
		for _, item := range list {
			s, ok := item.(string)
			if !ok {
				return fmt.Errorf(`must be a list of texts in quotes, for example ["node.example.org:7946"]`)
			}
			out = append(out, s)
		}
		f.v.Set(reflect.ValueOf(out))
	}
	return nil
}

// setText takes a value from the environment or a flag.
func (f field) setText(text string) error {
	switch f.v.Interface().(type) {
	case string:
		f.v.SetString(text)
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q must be true or false", text)
		}
		f.v.SetBool(b)
	case Size:
		n, err := ParseSize(text)
		if err != nil {
			return err
		}
		f.v.SetInt(int64(n))
	case Texts:
		return f.setValue(text)
	case []string:
		var out []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
		f.v.Set(reflect.ValueOf(out))
	}
	return nil
}

func (f field) toml() string {
	switch v := f.v.Interface().(type) {
	case string:
		return quote(v)
	case bool:
		return strconv.FormatBool(v)
	case Size:
		return quote(v.String())
	case Texts:
		if len(v) == 0 {
			return quote("")
		}
		if len(v) == 1 && v[0].Language == "" {
			return quote(v[0].Words)
		}
		list := make([]string, len(v))
		for i, t := range v {
			list[i] = t.Language + ": " + t.Words
		}
		return quoteList(list)
	case []string:
		return quoteList(v)
	}
	return ""
}

func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var tagged = regexp.MustCompile(`^([a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*): *(\S.*)$`)

// parseTexts reads one text, or a list of texts that begin with their language.
func parseTexts(value any) (Texts, error) {
	switch value := value.(type) {
	case string:
		if value == "" {
			return nil, nil
		}
		return Texts{{Words: value}}, nil
	case []any:
		out := make(Texts, 0, len(value))
		for _, item := range value {
			s, _ := item.(string)
			m := tagged.FindStringSubmatch(s)
			if m == nil {
				return nil, fmt.Errorf(`%q does not begin with its language; write for example ["pl: …", "en: …"]`, fmt.Sprint(item))
			}
			if slices.ContainsFunc(out, func(t Text) bool { return strings.EqualFold(t.Language, m[1]) }) {
				return nil, fmt.Errorf("there are two texts in the language %q", m[1])
			}
			out = append(out, Text{m[1], m[2]})
		}
		return out, nil
	}
	return nil, errors.New(`must be a text in quotes, or a list of texts that each begin with their language, for example ["pl: …", "en: …"]`)
}

// quote writes a basic string of TOML 1.0.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
