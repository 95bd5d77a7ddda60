package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/web/api"
)

// faces asks one node in the three ways in which people and programs do.
type faces struct {
	t    *testing.T
	base string // http://…
	dir  string
}

func (f faces) body(resp *http.Response, err error) (string, http.Header) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s, %v: %.300s", resp.Request.URL.Path, resp.Status, err, b)
	}
	return string(b), resp.Header
}

func (f faces) api(address string) (a api.Answer, next string) {
	f.t.Helper()
	body, header := f.body(http.Get(f.base + address))
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		f.t.Fatal(err)
	}
	next, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), ">")
	return a, next
}

func (f faces) command(args ...string) string {
	f.t.Helper()
	var out, fault bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &fault}
	if code := m.Run(f.t.Context(), append([]string{"search", "--dir", f.dir}, args...)); code != 0 {
		f.t.Fatalf("search %q: exit %d: %s", args, code, &fault)
	}
	return out.String()
}

// ids are those of results, companions beside the one whose they are, each once.
func ids(results []api.Result) []string {
	var list []string
	add := func(id string) {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	for _, r := range results {
		add(r.ID)
		for _, c := range r.Companions {
			add(c.ID)
		}
	}
	return list
}

var (
	cardLink = regexp.MustCompile(`<h3><a href="/[a-z]+/s/([0-9a-f-]{36})"`)
	anyID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

func idsIn(pattern *regexp.Regexp, body string) []string {
	var list []string
	for _, m := range pattern.FindAllStringSubmatch(body, -1) {
		list = append(list, m[len(m)-1])
	}
	return list
}

// The same question has the same answer in the same order in the API, on the
// pages and on the command line, whether something is found or not; and pages of
// a list neither skip nor repeat while listings come and go.
func TestFacesGiveTheSameOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real nodes; left out with -short")
	}
	o := nodetest.DemoOptions{Countries: []string{"PL", "DE"}, Listings: 40, Dir: t.TempDir(), BasePort: freeBlock(t)}
	fed, err := nodetest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fed.Stop(); err != nil {
			t.Error(err)
		}
	}()
	f := faces{t, fed.Nodes()[0].URL(), filepath.Join(o.Dir, "PL")}
	with := 0 // questions that found something, and that found nothing
	without := 0
	for _, q := range []url.Values{
		{},
		{"q": {"telefon"}},
		{"q": {"czat anonimowo"}},
		{"q": {"poradnai"}},
		{"channel": {"live_chat", "phone"}, "anonymity": {"full"}},
		{"q": {"pomoc"}, "open_now": {"true"}},
		{"q": {"unicornx"}},
		{"q": {"unicornx pomoc"}, "channel": {"post"}, "age": {"12-17"}, "cost": {"paid"}},
		{"channel": {"onion_site"}, "anonymity": {"official_id_required"}},
	} {
		form := url.Values{"country": {"PL"}, "language": {"pl"}}
		asked := url.Values{"usable_from": {"PL"}, "language": {"pl"}, "per_page": {"10"}, "together": {"true"}}
		args := []string{"--usable-from", "PL", "--language", "pl", "--per-page", "10"}
		for name, values := range q {
			form[name], asked[name] = values, values
			for _, v := range values {
				if name == "q" {
					args = append(args, v)
				} else {
					args = append(args, "--facet", name+"="+v)
				}
			}
		}
		answer, _ := f.api("/api/search?" + asked.Encode())
		want := ids(answer.Results)
		for _, g := range answer.Instead {
			want = append(want, ids(g.Results)...)
		}
		page, _ := f.body(http.PostForm(f.base+"/pl/search", form))
		if have := idsIn(cardLink, page); !slices.Equal(have, want) {
			t.Errorf("%v: the page has\n%v\nthe API\n%v", q, have, want)
		}
		if have := idsIn(anyID, f.command(args...)); !slices.Equal(have, want) {
			t.Errorf("%v: the command line has\n%v\nthe API\n%v", q, have, want)
		}
		var same api.Answer
		if err := json.Unmarshal([]byte(f.command(append(args, "--together", "-o", "json")...)), &same); err != nil || !slices.Equal(ids(same.Results), ids(answer.Results)) || same.Total != answer.Total {
			t.Errorf("%v: the command line says in JSON %d of %d, %v", q, len(same.Results), same.Total, err)
		}
		if answer.Total > 0 {
			with++
		} else if without++; len(answer.Instead) == 0 || len(answer.Crisis) == 0 {
			t.Errorf("%v: nothing was found and %d groups and %d contacts are offered", q, len(answer.Instead), len(answer.Crisis))
		}
	}
	if with < 4 || without < 2 {
		t.Errorf("%d questions found something and %d nothing: the table says too little", with, without)
	}

	t.Run("explained", func(t *testing.T) {
		f.t = t
		a, _ := f.api("/api/search?usable_from=PL&language=pl&explain=true&highlight=true&q=telefonn")
		if len(a.Results) == 0 || !strings.HasPrefix(a.Results[0].Explanation, "It stands here because it can be used from PL") {
			t.Fatalf("%+v", a.Results)
		}
		if a.Corrected != nil && !strings.Contains(a.Corrected.Text, "telefon") {
			t.Errorf("meant: %+v", a.Corrected)
		}
		near := []string{"--lat", "52.2", "--lon", "21.0", "--order", "distance", "--explain"}
		if out := f.command(near...); !strings.Contains(out, "The list goes by distance; this one is ") || !strings.Contains(out, "KM") {
			t.Errorf("by distance:\n%s", out)
		}
		a, _ = f.api("/api/search?lat=52.2&lon=21.0&order=distance&per_page=100")
		last := 0.0
		for _, r := range a.Results {
			if r.DistanceKM == nil {
				last = 1e9
			} else if *r.DistanceKM < last {
				t.Errorf("%s is %.1f km away and stands behind %.1f", r.ID, *r.DistanceKM, last)
			} else {
				last = *r.DistanceKM
			}
		}
		if last == 0 {
			t.Error("nothing has a distance")
		}
	})

	t.Run("bad input", func(t *testing.T) {
		for name, x := range map[string]struct {
			args []string
			code int
			says string
		}{
			"100 kB":               {[]string{strings.Repeat("a", 100_000)}, 2, "at most 1000 bytes"},
			"a thousand operators": {[]string{strings.Repeat(`"(`, 400)}, 0, "listings"},
			"a thousand quotes":    {[]string{strings.Repeat(`"`, 1000)}, 0, "listings"},
			"invalid UTF-8":        {[]string{"czat \xff\xfe"}, 0, "COUNTRY"},
			"control characters":   {[]string{"\x01\x1b[31m\x7f"}, 0, "Nothing found"},
			"right-to-left marks":  {[]string{"\u202e\u200f\u2066"}, 0, "listings"},
			"an unknown facet":     {[]string{"--facet", "colour=red"}, 2, `no parameter or facet "colour"`},
			"an unknown order":     {[]string{"--order", "price"}, 2, "rank, distance or id"},
			"no place":             {[]string{"--order", "distance"}, 2, "needs lat and lon"},
			"a list that is gone":  {[]string{"--snapshot", "x"}, 2, "no longer kept"},
		} {
			var out bytes.Buffer
			m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
			if code := m.Run(t.Context(), append([]string{"search", "--dir", f.dir}, x.args...)); code != x.code || !strings.Contains(out.String(), x.says) || strings.Contains(out.String(), "\x1b") {
				t.Errorf("%s: exit %d, want %d: %.300s", name, code, x.code, &out)
			}
		}
	})

	// Page by page, by its own button, every service stands once, and nobody apart
	// from a companion that was found too; API and command line divide the list alike.
	t.Run("companions on one page", func(t *testing.T) {
		f.t = t
		all, _ := f.api("/api/search?usable_from=PL&language=pl&per_page=100")
		found := map[string]bool{}
		for _, id := range ids(all.Results) {
			found[id] = true
		}
		if all.Total != len(all.Results) || all.Places != 0 {
			t.Fatalf("flat: %d results of %d, %d places", len(all.Results), all.Total, all.Places)
		}
		on := map[string]int{}
		pages, next := 0, "/api/search?usable_from=PL&language=pl&per_page=10&together=true"
		form := url.Values{"country": {"PL"}, "language": {"pl"}}
		for ; next != ""; pages++ {
			var a api.Answer
			a, next = f.api(next)
			if a.Total != all.Total || a.Places >= a.Total || next != "" && len(a.Results) != 10 {
				t.Errorf("page %d: %d results of %d at %d places", pages+1, len(a.Results), a.Total, a.Places)
			}
			page, _ := f.body(http.PostForm(f.base+"/pl/search", form))
			have := idsIn(cardLink, page)
			if want := ids(a.Results); !slices.Equal(have, want) {
				t.Errorf("page %d has\n%v\nthe API\n%v", pages+1, have, want)
			}
			if out := f.command("--usable-from", "PL", "--language", "pl", "--per-page", "10", "--page", strconv.Itoa(pages+1)); pages == 0 && !strings.Contains(out, fmt.Sprintf("%d listings, page 1 of %d", a.Total, (a.Places+9)/10)) {
				t.Errorf("the command line says %.300s", out[max(0, len(out)-300):])
			}
			for _, id := range have {
				if on[id] != 0 {
					t.Errorf("%s stands on the pages %d and %d", id, on[id], pages+1)
				}
				on[id] = pages + 1
			}
			snapshot := regexp.MustCompile(`name="snapshot" value="([^"]+)"`).FindStringSubmatch(page)
			if more := strings.Contains(page, fmt.Sprintf(`name="page" value="%d"`, pages+2)); more != (next != "") || snapshot == nil {
				t.Fatalf("page %d leads on: %t, the API %q", pages+1, more, next)
			}
			form.Set("page", strconv.Itoa(pages+2))
			form.Set("snapshot", snapshot[1])
		}
		parted := 0
		for _, r := range all.Results {
			if on[r.ID] == 0 {
				t.Errorf("%s stands on no page", r.ID)
			}
			for _, c := range r.Companions {
				if found[c.ID] && on[c.ID] != on[r.ID] {
					t.Errorf("%s stands on page %d, its companion on %d", r.ID, on[r.ID], on[c.ID])
				}
				if found[c.ID] {
					parted++
				}
			}
		}
		if pages < 3 || parted < 4 {
			t.Errorf("%d pages with %d companions say too little", pages, parted)
		}
	})

	t.Run("paged while listings change", func(t *testing.T) {
		f.t = t
		admin := fed.Nodes()[0].Admin()
		first, _ := f.api("/api/search?country=PL&per_page=100")
		whole := ids(first.Results)
		changed := []string{whole[2], whole[len(whole)/2], whole[len(whole)-1]} // on an early, a middle and a late page
		var met []string
		step := 0
		for next := "/api/search?country=PL&per_page=4"; next != ""; step++ {
			var a api.Answer
			a, next = f.api(next)
			if a.Total != first.Total {
				t.Errorf("page %d is of %d, the first of %d", step+1, a.Total, first.Total)
			}
			for _, r := range a.Results {
				if slices.Contains(met, r.ID) {
					t.Errorf("%s stands on two pages", r.ID)
				}
				met = append(met, r.ID)
			}
			id := []string{changed[step%3]}
			if step/3%2 == 0 {
				_, err = admin.Unpublish(t.Context(), id)
			} else {
				_, err = admin.Publish(t.Context(), id)
			}
			if err != nil {
				t.Fatalf("change %d: %v", step, err)
			}
		}
		for _, id := range whole {
			if !slices.Contains(met, id) && !slices.Contains(changed, id) {
				t.Errorf("%s was skipped", id)
			}
		}
		if step < 5 {
			t.Errorf("%d pages say too little", step)
		}
	})
}

// freeBlock is a port with nineteen free ones behind it: for two nodes.
func freeBlock(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		free := base < 65000
		for p := base; free && p < base+20; p++ {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}
