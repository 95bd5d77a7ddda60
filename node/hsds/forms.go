package hsds

import (
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds/schema"
)

// idOf is an id as HSDS wants it: one that is no UUID, as other directories have them,
// becomes one that is made from it, the same everywhere and on every node.
func idOf(id string) string {
	if id == "" || isUUID(id) {
		return id
	}
	return madeID("id", id)
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// formed are the formats that the schemas of HSDS ask for. A time or an address that
// is none would make the whole answer invalid for those who read it.
func formed(format string) bool {
	return format == "uuid" || format == "uri" || format == "email" || format == "date-time"
}

// conform brings the texts of an object into the form that the schemas ask for: ids
// as [idOf] has them, web addresses with their scheme. What is no address, e-mail or
// time at all is left out; the owner still has it.
func conform(fields []schema.Field, m map[string]any) {
	for i := range fields {
		f := &fields[i]
		s, ok := m[f.Name].(string)
		if !ok {
			continue
		}
		switch f.Format {
		case "uuid":
			if !isUUID(s) {
				m[f.Name] = idOf(s)
				if s == "" {
					delete(m, f.Name)
				}
			}
		case "uri":
			if !isURI(s) {
				if s = "https://" + s; strings.Contains(s[len("https://"):], ".") && isURI(s) && !strings.Contains(s, "@") {
					m[f.Name] = s
				} else {
					delete(m, f.Name)
				}
			}
		case "email":
			if !isEmail(s) {
				delete(m, f.Name)
			}
		case "date-time":
			if !IsTime(s) {
				delete(m, f.Name)
			}
		}
	}
}

func isURI(s string) bool {
	plain := len(s) > len("https://") && (s[:8] == "https://" || s[:7] == "http://")
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c == '"', c == '<', c == '>', c == '\\', c == '^', c == '`', c == '{', c == '|', c == '}', c == 0x7f:
			return false
		case c == '%', c == '[', c == ']', c == ':' && i > 6, c == '@', c > 0x7f:
			plain = false
		}
	}
	if plain && s[len("https://")] != '/' {
		return true // as nearly all are: nothing in it needs a closer look
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "" || u.Path != "")
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

// IsTime reports whether a text is a time as RFC 3339 writes it.
func IsTime(s string) bool {
	_, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	return err == nil
}
