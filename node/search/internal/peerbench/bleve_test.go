package peerbench

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/search/query"

	"github.com/2ps-project/waymark/node/search"
)

// blv is bleve with facets, without the ladder: it sorts by its own score.
type blv struct{ x bleve.Index }

var bleveFacets = []string{"audience", "channel", "anonymity", "cost", "format", "country", "language"}

func newBleve(b *testing.B) blv {
	m := bleve.NewIndexMapping()
	m.StoreDynamic, m.DocValuesDynamic = false, false
	d := bleve.NewDocumentStaticMapping()
	text := bleve.NewTextFieldMapping()
	text.Store, text.IncludeTermVectors, text.DocValues = false, true, false
	d.AddFieldMappingsAt("text", text)
	for _, f := range append([]string{"coverage"}, bleveFacets...) {
		k := bleve.NewTextFieldMapping()
		k.Analyzer, k.Store, k.IncludeTermVectors, k.DocValues = keyword.Name, false, false, true
		d.AddFieldMappingsAt(f, k)
	}
	place := bleve.NewGeoPointFieldMapping()
	place.Store = false
	d.AddFieldMappingsAt("place", place)
	m.DefaultMapping = d
	x, err := bleve.NewUsing(filepath.Join(b.TempDir(), "peer.bleve"), m, scorch.Name, scorch.Name, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	return blv{x}
}

func (p blv) add(docs []search.Doc) error {
	batch := p.x.NewBatch()
	for _, d := range docs {
		all := ""
		for _, t := range d.Texts {
			all += t.Text + "\n"
		}
		coverage := d.Coverage
		if d.Global {
			coverage = append([]string{"*"}, coverage...)
		}
		fields := map[string]any{"text": all, "country": d.Country, "language": d.Languages, "coverage": coverage}
		for f, v := range d.Facets {
			fields[string(f)] = v
		}
		if len(d.Points) > 0 {
			fields["place"] = map[string]any{"lat": d.Points[0].Latitude, "lon": d.Points[0].Longitude}
		}
		if err := batch.Index(d.Country+" "+d.ID, fields); err != nil {
			return err
		}
	}
	return p.x.Batch(batch)
}

func (p blv) ask(class string, q search.Query) (int, error) {
	var parts []query.Query
	any := func(field string, values ...string) {
		var list []query.Query
		for _, v := range values {
			t := bleve.NewTermQuery(v)
			t.SetField(field)
			list = append(list, t)
		}
		if len(list) > 0 {
			parts = append(parts, bleve.NewDisjunctionQuery(list...))
		}
	}
	switch {
	case q.Text == "":
	case class == "fuzzy":
		f := bleve.NewFuzzyQuery(q.Text)
		f.SetFuzziness(1)
		f.SetField("text")
		parts = append(parts, f)
	case class == "prefix":
		f := bleve.NewPrefixQuery(q.Text)
		f.SetField("text")
		parts = append(parts, f)
	default:
		t := bleve.NewMatchQuery(q.Text)
		t.SetField("text")
		t.SetOperator(query.MatchQueryOperatorAnd)
		parts = append(parts, t)
	}
	if q.RadiusKM > 0 {
		g := bleve.NewGeoDistanceQuery(q.Near.Longitude, q.Near.Latitude, fmt.Sprintf("%fkm", q.RadiusKM))
		g.SetField("place")
		parts = append(parts, g)
	}
	for f, values := range q.Facets {
		any(f, values...)
	}
	any("country", q.Countries...)
	if len(q.UsableFrom) > 0 {
		any("coverage", append([]string{"*"}, q.UsableFrom...)...)
	}
	r := bleve.NewSearchRequestOptions(bleve.NewConjunctionQuery(parts...), 20, 0, false)
	for _, f := range bleveFacets {
		r.AddFacet(f, bleve.NewFacetRequest(f, 20))
	}
	a, err := p.x.Search(r)
	if err != nil {
		return 0, err
	}
	return int(a.Total), nil
}

func (p blv) find(country, id string) (bool, error) {
	d, err := p.x.Document(country + " " + id)
	return d != nil, err
}
