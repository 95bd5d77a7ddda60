package listing

import (
	"reflect"
	"slices"
	"strings"
)

// MarkTranslations marks those translations of d as outdated whose original says
// something else than in before while they say the same. One whose own words have
// changed is of the text as it is now. What was marked stays so.
func (d Document) MarkTranslations(before Document) {
	languages, _ := asMap(d["translations"])
	for tag, v := range languages {
		texts, _ := asMap(v)
		for path, v := range texts {
			t, ok := asMap(v)
			old := before.translation(tag, path)
			switch _, said := t["outdated"]; {
			case !ok || old == nil:
			case !reflect.DeepEqual(t["text"], old["text"]): // it may be anything: nobody has looked yet
				delete(t, "outdated")
			case d.textAt(path) != before.textAt(path):
				t["outdated"] = true
			case !said && old["outdated"] == true:
				t["outdated"] = true
			}
		}
	}
}

// translation is the one of a field into a language; nil = there is none.
func (d Document) translation(tag, path string) map[string]any {
	languages, _ := asMap(d["translations"])
	texts, _ := asMap(languages[tag])
	t, _ := asMap(texts[path])
	return t
}

// textAt is the text at the path by which translations name it; "" = there is none.
func (d Document) textAt(path string) string {
	var v any = map[string]any(d)
	for step := range strings.SplitSeq(path, ".") {
		list, ok := v.([]any)
		if !ok {
			m, _ := asMap(v)
			v = m[step]
			continue
		}
		at := slices.IndexFunc(list, func(o any) bool { m, _ := asMap(o); return m["id"] == step })
		if at < 0 {
			return ""
		}
		v = list[at]
	}
	s, _ := v.(string)
	return s
}
