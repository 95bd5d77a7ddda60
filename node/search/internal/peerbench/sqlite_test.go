package peerbench

import (
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/search/searchtest"
)

// lite is how one would build it on SQLite: FTS5 for words, its prefix indexes
// for beginnings, a trigram index over the words for typing mistakes, an R*Tree
// for places, and facets as bits of integers, which it counts in one pass.
type lite struct {
	db    *sql.DB
	next  int
	words map[string]bool
	sums  string // counts all facets
}

var masks = []struct {
	column string
	facet  search.Facet
	values []string
}{
	{"audience", search.Audience, searchtest.Audiences}, {"channel", search.Channel, searchtest.Channels}, {"anonymity", search.Anonymity, searchtest.Anonymities},
	{"cost", search.Cost, searchtest.Costs}, {"format", search.Format, searchtest.Formats}, {"land", search.Country, searchtest.Countries},
	{"language", search.Language, search.Languages()}, {"coverage", "", append(slices.Clone(searchtest.Countries), "*")},
}

func mask(all []string, of ...string) (m int64) {
	for _, v := range of {
		if i := slices.Index(all, v); i >= 0 {
			m |= 1 << i
		}
	}
	return m
}

func newSQLite(b *testing.B) *lite {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(b.TempDir(), "peer.db")+"?_journal_mode=WAL&_synchronous=NORMAL&_cache_size=-131072")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, s := range []string{
		"PRAGMA mmap_size=4294967296",
		`CREATE TABLE listing(doc INTEGER PRIMARY KEY, country TEXT, id TEXT, revision INT, anon INT, fresh INT,
			audience INT, channel INT, anonymity INT, cost INT, format INT, land INT, language INT, coverage INT, ages INT, x REAL, y REAL, z REAL, UNIQUE(country, id))`,
		`CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize="unicode61 remove_diacritics 2", prefix='2 3')`,
		"CREATE VIRTUAL TABLE place USING rtree(doc, south, north, west, east)",
		`CREATE VIRTUAL TABLE vocabulary USING fts5(word, tokenize="trigram")`,
	} {
		if _, err := db.Exec(s); err != nil {
			b.Fatal(err)
		}
	}
	l := &lite{db: db, words: map[string]bool{}}
	var sums []string
	for _, m := range masks[:7] {
		for i := range m.values {
			sums = append(sums, fmt.Sprintf("sum(l.%s>>%d&1)", m.column, i))
		}
	}
	for i := range 5 {
		sums = append(sums, fmt.Sprintf("sum(l.fresh=%d)", i))
	}
	for i := range 3 {
		sums = append(sums, fmt.Sprintf("sum(l.ages>>%d&1)", i))
	}
	l.sums = strings.Join(sums, ",")
	return l
}

func (l *lite) version() string {
	v, _, _ := sqlite3.Version()
	return v + " (mattn/go-sqlite3 v1.14.53)"
}

func (l *lite) add(docs []search.Doc) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for i := range docs {
		d := &docs[i]
		l.next++
		text := ""
		for _, t := range d.Texts {
			text += t.Text + "\n"
		}
		for _, w := range strings.Fields(text) {
			l.words[w] = true
		}
		age, fresh := int(searchtest.Today-d.Assured), 0
		for _, limit := range []int{d.CadenceDays, d.CadenceDays + min(d.CadenceDays/2, 30), 2 * d.CadenceDays, 4 * d.CadenceDays} {
			if age >= limit {
				fresh++
			}
		}
		ages := 0
		for j, b := range [][2]int{{12, 17}, {18, 20}, {21, 999}} {
			if d.MinAge <= b[1] && (d.MaxAge <= 0 || d.MaxAge >= b[0]) {
				ages |= 1 << j
			}
		}
		coverage := d.Coverage
		if d.Global {
			coverage = append(slices.Clone(coverage), "*")
		} else if len(coverage) == 0 {
			coverage = []string{d.Country}
		}
		args := []any{l.next, d.Country, d.ID, d.Revision, d.AnonymousContact, fresh}
		for _, m := range masks[:5] {
			args = append(args, mask(m.values, d.Facets[m.facet]...))
		}
		args = append(args, mask(searchtest.Countries, d.Country), mask(search.Languages(), d.Languages...), mask(masks[7].values, coverage...), ages, nil, nil, nil)
		if len(d.Points) > 0 {
			x, y, z := vector(d.Points[0])
			args[len(args)-3], args[len(args)-2], args[len(args)-1] = x, y, z
		}
		if _, err := tx.Exec("INSERT INTO listing VALUES(?"+strings.Repeat(",?", len(args)-1)+")", args...); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO words(rowid, text) VALUES(?, ?)", l.next, text); err != nil {
			return err
		}
		for _, p := range d.Points {
			if _, err := tx.Exec("INSERT INTO place VALUES(?,?,?,?,?)", l.next, p.Latitude, p.Latitude, p.Longitude, p.Longitude); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

func (l *lite) settle() error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for w := range l.words {
		if _, err := tx.Exec("INSERT INTO vocabulary VALUES(?)", w); err != nil {
			return err
		}
	}
	for _, s := range []string{"INSERT INTO words(words) VALUES('optimize')", "INSERT INTO vocabulary(vocabulary) VALUES('optimize')", "ANALYZE"} {
		if _, err := tx.Exec(s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (l *lite) ask(class string, q search.Query) (total int, err error) {
	from, where, score := "listing l", []string{"1"}, "NULL"
	var args []any
	if q.Text != "" {
		match := strings.Join(strings.Fields(q.Text), " AND ")
		switch class {
		case "prefix":
			match = q.Text + "*"
		case "fuzzy":
			if match, err = l.similar(q.Text); err != nil {
				return 0, err
			}
		}
		from, where, score = "words JOIN listing l ON l.doc = words.rowid", append(where, "words MATCH ?"), "bm25(words)"
		args = append(args, match)
	}
	order := ""
	if q.Near != nil && q.RadiusKM > 0 {
		dLat, dLon := q.RadiusKM/111.2, q.RadiusKM/111.2/math.Cos(q.Near.Latitude*math.Pi/180)
		x, y, z := vector(*q.Near)
		distance := fmt.Sprintf("((l.x-%[1]f)*(l.x-%[1]f)+(l.y-%[2]f)*(l.y-%[2]f)+(l.z-%[3]f)*(l.z-%[3]f))", x, y, z) // square of the chord
		from += " JOIN place p ON p.doc = l.doc"
		where = append(where, "p.south >= ? AND p.north <= ? AND p.west >= ? AND p.east <= ?", distance+" <= ?")
		args = append(args, q.Near.Latitude-dLat, q.Near.Latitude+dLat, q.Near.Longitude-dLon, q.Near.Longitude+dLon, 4*math.Pow(math.Sin(q.RadiusKM/6371.0088/2), 2))
		order = distance + ","
	}
	for _, m := range masks {
		list := q.Facets[string(m.facet)]
		switch m.column {
		case "land":
			list = q.Countries
		case "coverage":
			if list = q.UsableFrom; len(list) > 0 {
				list = append(slices.Clone(list), "*")
			}
		}
		if len(list) > 0 {
			where = append(where, fmt.Sprintf("l.%s & %d", m.column, mask(m.values, list...)))
		}
	}
	if q.Order == search.ByRank {
		order = fmt.Sprintf("(l.coverage & %d) != 0 DESC, (l.language & %d) != 0 DESC, l.anon DESC, l.fresh, %s,", mask(masks[7].values, q.From, "*"), mask(search.Languages(), q.Language), score)
	}
	tail := " FROM " + from + " WHERE " + strings.Join(where, " AND ")
	rows, err := l.db.Query("SELECT count(*),"+l.sums+tail, args...)
	if err != nil {
		return 0, err
	}
	if total, err = first(rows); err != nil {
		return 0, err
	}
	rows, err = l.db.Query("SELECT l.country, l.id, l.revision"+tail+" ORDER BY "+order+" l.country, l.id LIMIT 20", args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var country, id string
		var revision int
		if err := rows.Scan(&country, &id, &revision); err != nil {
			return 0, err
		}
	}
	return total, rows.Err()
}

// vector is a place on the unit sphere: SQLite knows no sine unless it is built so.
func vector(p search.Point) (x, y, z float64) {
	const rad = math.Pi / 180
	return math.Cos(p.Latitude*rad) * math.Cos(p.Longitude*rad), math.Cos(p.Latitude*rad) * math.Sin(p.Longitude*rad), math.Sin(p.Latitude * rad)
}

// first reads the first number of the only row, and all others.
func first(rows *sql.Rows) (int, error) {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values := make([]sql.NullInt64, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	rows.Next()
	if err := rows.Scan(into...); err != nil {
		return 0, err
	}
	return int(values[0].Int64), rows.Err()
}

// similar finds the words that share three letters in a row with a mistyped one,
// and of these the nearest.
func (l *lite) similar(word string) (string, error) {
	var grams []string
	for i := range len(word) - 2 {
		grams = append(grams, `"`+word[i:i+3]+`"`)
	}
	rows, err := l.db.Query("SELECT word FROM vocabulary WHERE vocabulary MATCH ? ORDER BY rank LIMIT 200", strings.Join(grams, " OR "))
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var near []string
	for rows.Next() {
		var w string
		if err := rows.Scan(&w); err != nil {
			return "", err
		}
		if edits(word, w) <= 1 {
			near = append(near, w)
		}
	}
	if len(near) == 0 {
		near = []string{word}
	}
	return strings.Join(near, " OR "), rows.Err()
}

func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func (l *lite) find(country, id string) (bool, error) {
	var revision int
	err := l.db.QueryRow("SELECT revision FROM listing WHERE country = ? AND id = ?", country, id).Scan(&revision)
	return err == nil, err
}
