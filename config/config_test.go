package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/config"
)

const good = "country = \"PL\"\noperator = \"Example Foundation\"\n"

func load(t *testing.T, text string, s config.Sources) (*config.Loaded, error) {
	t.Helper()
	s.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(s.Dir, config.FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(s)
}

func TestTheExampleIsTheDefaults(t *testing.T) {
	got, err := config.Parse([]byte(config.Example()))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	for _, key := range config.Keys() {
		if got.Get(key) != want.Get(key) {
			t.Errorf("%s is %s in the example and %s by default", key, got.Get(key), want.Get(key))
		}
		_, name, dotted := strings.Cut(key, ".")
		if !dotted {
			name = key
		}
		if !strings.Contains(config.Example(), "\n"+name+" = ") {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func TestFaultsAreNamedWithTheirPlace(t *testing.T) {
	tests := []struct {
		name, text string
		env        []string
		flags      map[string]string
		want       []string // each must be in the text of the error
	}{
		{name: "a misspelt key", text: good + "[federation]\nlistn = \":7946\"\n",
			want: []string{"line 4", "federation.listn", `did you mean "federation.listen"?`}},
		{name: "letters in the wrong order", text: good + "[public]\nlitsen = \":80\"\n",
			want: []string{"line 4", `did you mean "public.listen"?`}},
		{name: "a misspelt table", text: good + "[fedration]\nlisten = \":1\"\nvoter = true\n",
			want: []string{"line 4", "did you mean the table [federation]?"}},
		{name: "the right key in the wrong table", text: good + "[ops]\nadvertise = [\"a:1\"]\n",
			want: []string{"line 4", "did you mean federation.advertise?"}},
		{name: "a key that is like nothing", text: good + "favourite_colour = \"blue\"\n",
			want: []string{"line 3", "favourite_colour", "waymark config example"}},
		{name: "an unknown inline table", text: good + "tls = { certificate = \"x\" }\n", want: []string{"line 3", "tls"}},
		{name: "a key in quotes with a dot", text: good + "\"public.listen\" = \":1\"\n", want: []string{"line 3", `"public.listen": there is no such key`}},
		{name: "a table twice", text: good + "[[log]]\nlevel = \"info\"\n", want: []string{"line 3", "did you mean the table [log]?"}},
		{name: "everything at once", text: "country = \"UK\"\noperater = \"x\"\n[public]\nlisten = 80\n[store]\nfree_space_floor = \"1 parsec\"\n[log]\nlevel = \"infos\"\n",
			want: []string{"line 1", `did you mean "GB"`, "line 2", `did you mean "operator"?`, "line 4", "must be text in quotes", "line 6", "not a size", "line 8", `did you mean "info"?`, "operator: the organisation"}},
		{name: "no TOML", text: "country = PL\n", want: []string{"line 1, column", "not TOML"}},
		{name: "the same key twice", text: good + "country = \"DE\"\n", want: []string{"not TOML", "country"}},
		{name: "lower-case country", text: "country = \"pl\"\noperator = \"x\"\n", want: []string{`must be written "PL"`}},
		{name: "a port taken twice", text: good + "[admin]\nlisten = \"127.0.0.1:8080\"\n", want: []string{"line 4", "already taken by public.listen"}},
		{name: "a port taken by every address", text: good + "operator_uses = \"x\"\n[public]\nlisten = \":8081\"\n", want: []string{"already taken by public.listen (:8081)"}},
		{name: "an address without port", text: good + "[public]\nlisten = \"127.0.0.1\"\n", want: []string{"HOST:PORT"}},
		{name: "an advertised address of nobody", text: good + "[federation]\nadvertise = [\":7946\"]\n", want: []string{"names no machine"}},
		{name: "a list of numbers", text: good + "[federation]\nadvertise = [1]\n", want: []string{"list of texts"}},
		{name: "a text without its language", text: good + "[accessibility]\ngaps = [\"pl: Mapa\", \"The map\"]\n", want: []string{"line 4", "does not begin with its language"}},
		{name: "two texts in one language", text: good + "[accessibility]\ngaps = [\"pl: Mapa\", \"PL: Mapa\"]\n", want: []string{"line 4", "two texts in the language"}},
		{name: "a number for a text", text: good + "[accessibility]\nenforcement = 7\n", want: []string{"line 4", "a list of texts that each begin"}},
		{name: "days that are none", text: good + "[accessibility]\nprepared = \"soon\"\nreviewed = \"2026-13-01\"\n", want: []string{"line 4", "line 5", "is not a day"}},
		{name: "a voter that cannot be called", text: good + "[federation]\nvoter = true\noutbound_only = true\n", want: []string{"line 4", "excludes outbound_only"}},
		{name: "an operator of no kind", text: good + "operator_type = \"club\"\n", want: []string{"operator_type", "police_justice"}},
		{name: "a public node that does not say who else may keep records", text: good + "[public]\nurl = \"https://help.example.org\"\n", want: []string{"operator_uses", "readers must be told"}},
		{name: "an address of pages with a path", text: good + "operator_uses = \"x\"\n[public]\nurl = \"https://help.example.org/\"\n", want: []string{"line 5", "https://help.example.org"}},
		{name: "a variable", text: good, env: []string{"WAYMARK_LOG_LEVEL=loud"}, want: []string{"WAYMARK_LOG_LEVEL: log.level"}},
		{name: "a misspelt variable", text: good, env: []string{"WAYMARK_LOG_LEVLE=info"}, want: []string{"WAYMARK_LOG_LEVLE: there is no such variable; did you mean WAYMARK_LOG_LEVEL?"}},
		{name: "a flag", text: good, flags: map[string]string{"store.free_space_floor": "1B"}, want: []string{"--store-free-space-floor", "at least 64MiB"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text, config.Sources{Env: tt.env, Flags: tt.flags})
			if _, ok := errors.AsType[*config.Faults](err); !ok {
				t.Fatalf("want faults, have %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}

func TestAFlagStandsAboveTheEnvironmentAboveTheFile(t *testing.T) {
	text := good + "[log]\nlevel = \"warn\"\n[public]\nlisten = \"127.0.0.1:1\"\n[ops]\nlisten = \"127.0.0.1:2\"\n"
	c, err := load(t, text, config.Sources{
		Env:   []string{"WAYMARK_LOG_LEVEL=error", "WAYMARK_PUBLIC_LISTEN=127.0.0.1:3", "WAYMARK_ADMIN_LISTEN=", "WAYMARK_DIR=/x", "WAYMARK_SERVICE_HOST=y"},
		Flags: map[string]string{"log.level": "debug"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ key, value, origin string }{
		{"log.level", `"debug"`, "--log-level"},
		{"public.listen", `"127.0.0.1:3"`, "WAYMARK_PUBLIC_LISTEN"},
		{"ops.listen", `"127.0.0.1:2"`, "line 8"},
		{"admin.listen", `"127.0.0.1:8081"`, "default"},
	} {
		if v, o := c.Get(want.key), c.Origins[want.key]; v != want.value || o != want.origin {
			t.Errorf("%s is %s from %s, want %s from %s", want.key, v, o, want.value, want.origin)
		}
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	_, err := config.Load(config.Sources{Dir: t.TempDir()})
	if !errors.Is(err, config.ErrNoFile) {
		t.Errorf("an empty directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, config.FileName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Sources{Dir: dir}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a directory in its place: %v", err)
	}
	if _, err := load(t, strings.Repeat("# much too long\n", 1<<17), config.Sources{}); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	c := config.Default()
	c.Country, c.Operator, c.OperatorUses = "LT", `The "Example" \ Fundacja Przykład`, "Example Hosting"
	c.Federation.Voter = true
	c.Store.FreeSpaceFloor = 3 << 30
	if err := c.UseBasePort(8100); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Sources{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		if got.Get(key) != c.Get(key) {
			t.Errorf("%s: wrote %s, read %s", key, c.Get(key), got.Get(key))
		}
	}
	if want := []string{"127.0.0.1:8106"}; got.Federation.Advertise[0] != want[0] || got.Public.Listen != "127.0.0.1:8100" || got.Ops.Listen != "127.0.0.1:8102" {
		t.Errorf("the base port gives %+v", got.Config)
	}
	if err := c.Write(dir); !errors.Is(err, config.ErrFileExists) {
		t.Errorf("a second file over the first: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, config.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAdvice(t *testing.T) {
	c := config.Default()
	c.Admin.Listen = ":8081"
	text := strings.Join(c.Advice(), "\n")
	for _, want := range []string{"federation.advertise is empty", "admin.listen :8081 can be reached"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	c.Federation.OutboundOnly, c.Admin.Listen = true, "[::1]:8081"
	if advice := c.Advice(); len(advice) != 0 {
		t.Errorf("a good configuration is told %q", advice)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{"512MiB": 512 << 20, "2 GiB": 2 << 30, "1024": 1024, "7B": 7, "0": 0} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
		if again, err := config.ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%v does not read back: %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1MiB", "1.5GiB", "9000000TiB", "12 parsecs", "1GB"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"publish", "unpublish", "import", "export"}
	for word, want := range map[string]string{"pubish": "publish", "improt": "import", "xeport": "export", "unpublisch": "unpublish", "zzz": "", "": ""} {
		if got := config.Nearest(word, words); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(config.Example()))
	f.Add([]byte(good + "[federation]\nadvertise = [\"a:1\", 2]\n[[log]]\n"))
	f.Add([]byte("a = {b={c=1}}\npublic = 1\n\"\" = 2\n\"x.y\" = 3\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := config.Parse(raw)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		again, err := config.Parse([]byte(c.Render()))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, c.Render())
		}
		for _, key := range config.Keys() {
			if again.Get(key) != c.Get(key) {
				t.Errorf("%s: %s became %s", key, c.Get(key), again.Get(key))
			}
		}
	})
}

// A text in several languages comes back from the file as it was.
func TestTextsInSeveralLanguages(t *testing.T) {
	for text, want := range map[string]config.Texts{
		`""`: nil, `"Only: one"`: {{Words: "Only: one"}}, `["pl: Mapa \"A\": brak opisu", "sr-Latn:x"]`: {{"pl", `Mapa "A": brak opisu`}, {"sr-Latn", "x"}},
	} {
		c, err := config.Parse([]byte("[accessibility]\ngaps = " + text + "\ncontact = " + text + "\n"))
		if err != nil || !slices.Equal(c.Accessibility.Gaps, want) || !slices.Equal(c.Accessibility.Contact, want) {
			t.Errorf("%s: %q, %q, %v", text, c.Accessibility.Gaps, c.Accessibility.Contact, err)
		}
		again, err := config.Parse([]byte(c.Render()))
		if err != nil || !slices.Equal(again.Accessibility.Gaps, want) || !slices.Equal(again.Accessibility.Contact, want) {
			t.Errorf("%s, written and read: %q, %v", text, again.Accessibility.Gaps, err)
		}
	}
}
