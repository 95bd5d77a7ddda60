package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// ErrNoFile is returned when the directory holds no configuration.
var ErrNoFile = errors.New("no node is here")

const maxFile = 1 << 20 // bytes; a full example is about 4 kB

// Variables names the environment variables that are read, and the key that each
// sets. Advertise takes several addresses separated by commas.
var Variables = map[string]string{
	"WAYMARK_PUBLIC_LISTEN":          "public.listen",
	"WAYMARK_PUBLIC_URL":             "public.url",
	"WAYMARK_ADMIN_LISTEN":           "admin.listen",
	"WAYMARK_OPS_LISTEN":             "ops.listen",
	"WAYMARK_FEDERATION_LISTEN":      "federation.listen",
	"WAYMARK_FEDERATION_ADVERTISE":   "federation.advertise",
	"WAYMARK_STORE_FREE_SPACE_FLOOR": "store.free_space_floor",
	"WAYMARK_LOG_LEVEL":              "log.level",
}

// Sources is where Load looks.
type Sources struct {
	Dir   string            // the node's directory
	Env   []string          // "NAME=value", as os.Environ gives them; nil for none
	Flags map[string]string // key to text, only for flags that were given; the flag of log.level is --log-level
}

// Loaded is a configuration with the origin of its values.
type Loaded struct {
	Config
	Path    string            // the file
	Origins map[string]string // key to "default", "line 12", "WAYMARK_LOG_LEVEL" or "--log-level"
}

// Load reads, merges and checks. Everything that is wrong comes back at once as
// [*Faults]; a directory without a file is [ErrNoFile].
func Load(s Sources) (*Loaded, error) {
	path := filepath.Join(s.Dir, FileName)
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	l := &loader{out: &Loaded{Config: Default(), Path: path, Origins: map[string]string{}}, faults: &Faults{Path: path}}
	l.fields = fieldsOf(&l.out.Config)
	for key := range l.fields {
		l.out.Origins[key] = "default"
	}
	l.file(raw)
	l.text(s)
	for _, f := range l.out.Check() {
		// A value that could not be read has its fault already.
		if slices.ContainsFunc(l.faults.List, func(g Fault) bool { return g.Key == f.Key }) {
			continue
		}
		if origin := l.out.Origins[f.Key]; origin != "default" {
			f.Where = origin
		}
		l.faults.List = append(l.faults.List, f)
	}
	if len(l.faults.List) > 0 {
		return nil, l.faults
	}
	return l.out, nil
}

// Parse reads a configuration from the bytes of a file alone, without checking
// that its values can be used.
func Parse(raw []byte) (Config, error) {
	l := &loader{out: &Loaded{Config: Default(), Origins: map[string]string{}}, faults: &Faults{Path: FileName}}
	l.fields = fieldsOf(&l.out.Config)
	l.file(raw)
	if len(l.faults.List) > 0 {
		return Config{}, l.faults
	}
	return l.out.Config, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoFile, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the configuration %s cannot be read: this user may not; run the command as the user that owns the file: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("the configuration %s cannot be read: %w", path, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the configuration %s cannot be read: %w", path, err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("the configuration %s is larger than 1 MiB; it is probably another file", path)
	}
	return raw, nil
}

type loader struct {
	out    *Loaded
	fields map[string]field
	faults *Faults
}

func (l *loader) fault(key, where, format string, args ...any) {
	l.faults.List = append(l.faults.List, Fault{Key: key, Where: where, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) file(raw []byte) {
	tree := map[string]any{}
	if err := toml.Unmarshal(raw, &tree); err != nil {
		where := ""
		if de, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := de.Position()
			where = fmt.Sprintf("line %d, column %d", row, column)
		}
		l.fault("", where, "this is not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	lines := linesOf(raw)
	for _, e := range entries(tree, lines) {
		where := fmt.Sprintf("line %d", e.line)
		f, ok := l.fields[e.key]
		if !ok {
			l.fault(e.key, where, "there is no such key%s", meant(e.key))
			continue
		}
		if err := f.setValue(e.value); err != nil {
			l.fault(e.key, where, "%v", err)
		}
		l.out.Origins[e.key] = where
	}
}

func (l *loader) text(s Sources) {
	set := func(key, where, text string) {
		f, ok := l.fields[key]
		if !ok {
			l.fault(key, where, "there is no such key%s", meant(key))
			return
		}
		if err := f.setText(text); err != nil {
			l.fault(key, where, "%v", err)
		}
		l.out.Origins[key] = where
	}
	for _, pair := range s.Env {
		name, text, _ := strings.Cut(pair, "=")
		key := Variables[name]
		switch {
		case text == "":
		case key != "":
			set(key, name, text)
		case strings.HasPrefix(name, "WAYMARK_"):
			// Others may use the prefix; only what is plainly a slip is a fault.
			for known := range Variables {
				if distance(name, known) <= 2 {
					l.fault("", name, "there is no such variable; did you mean %s?", known)
				}
			}
		}
	}
	for key, text := range s.Flags {
		set(key, "--"+strings.NewReplacer(".", "-", "_", "-").Replace(key), text)
	}
}

// meant ends the sentence about an unknown key with the right one.
func meant(key string) string {
	all := Keys()
	tables := []string{}
	for _, k := range all {
		if table, _, ok := strings.Cut(k, "."); ok && !slices.Contains(tables, table) {
			tables = append(tables, table)
		}
	}
	table, last, dotted := strings.Cut(key, ".")
	if !dotted {
		last = table
	} else if near := Nearest(table, tables); !slices.Contains(tables, table) && near != "" {
		return fmt.Sprintf("; did you mean the table [%s]?", near)
	}
	if near := Nearest(key, all); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	// The right name in the wrong table.
	names := []string{}
	for _, k := range all {
		names = append(names, k[strings.LastIndexByte(k, '.')+1:])
	}
	if near := Nearest(last, names); near != "" {
		var in []string
		for i, k := range all {
			if names[i] == near {
				in = append(in, k)
			}
		}
		return fmt.Sprintf("; did you mean %s?", strings.Join(in, " or "))
	}
	if near := Nearest(key, tables); near != "" && !dotted {
		return fmt.Sprintf("; did you mean the table [%s]?", near)
	}
	return "; see: waymark config example"
}

// linesOf is the line of each key, by its full name, of a document that is known
// to be TOML.
func linesOf(raw []byte) map[string]int {
	lines, table := map[string]int{}, ""
	p := unstable.Parser{}
	p.Reset(raw)
	for p.NextExpression() {
		e := p.Expression()
		name, line := nameOf(&p, e.Key())
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = name + "."
			lines[name] = line
		case unstable.KeyValue:
			lines[table+name] = line
			inline(&p, e.Value(), table+name+".", lines)
		}
	}
	return lines
}

// inline names the keys of an inline table: a = { b = 1 } is a.b.
func inline(p *unstable.Parser, value *unstable.Node, prefix string, lines map[string]int) {
	if value.Kind != unstable.InlineTable {
		return
	}
	for it := value.Children(); it.Next(); {
		name, line := nameOf(p, it.Node().Key())
		lines[prefix+name] = line
		inline(p, it.Node().Value(), prefix+name+".", lines)
	}
}

func nameOf(p *unstable.Parser, key unstable.Iterator) (string, int) {
	var parts []string
	line := 0
	for key.Next() {
		n := key.Node()
		parts = append(parts, quotePart(string(n.Data)))
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
	}
	return strings.Join(parts, "."), line
}

// entry is one value of the file.
type entry struct {
	key   string // full name
	value any
	line  int
}

// entries are all values of the tree, in the order of the file. A table that has
// no place in a configuration is one entry, unless it stands at the top.
func entries(tree map[string]any, lines map[string]int) []entry {
	var all []entry
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		for part, v := range m {
			key := prefix + quotePart(part)
			if sub, ok := v.(map[string]any); ok && (isTable(key) || len(sub) > 0 && prefix == "") {
				walk(key+".", sub)
				continue
			}
			all = append(all, entry{key, v, lines[key]})
		}
	}
	walk("", tree)
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.key, b.key))
	})
	return all
}

// quotePart keeps a quoted key with dots in it from looking like a table's.
func quotePart(part string) string {
	if strings.ContainsAny(part, ". ") || part == "" {
		return quote(part)
	}
	return part
}

func isTable(name string) bool {
	return slices.ContainsFunc(Keys(), func(k string) bool { return strings.HasPrefix(k, name+".") })
}
