//go:build peers

package search_test

// The same questions over the same documents asked of bleve, in the same run:
//
//	go test -tags peers -run xxx -bench Peers ./node/search
//
// Behind a tag, because compiling bleve takes longer than all other tests.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/search/query"

	"github.com/2ps-project/waymark/node/search"
)

func BenchmarkPeers(b *testing.B) {
	c := benchCorpus()
	docs := c.docs(1, benchSize())
	start := time.Now()
	own := newIndex(b, docs...)
	ownBuild := time.Since(start)
	start = time.Now()
	peer := newBleve(b, docs)
	peerBuild := time.Since(start)
	b.Logf("build: own %.0f docs/s, bleve %.0f docs/s", float64(len(docs))/ownBuild.Seconds(), float64(len(docs))/peerBuild.Seconds())
	all := classes(c)
	for _, name := range []string{"words+facets", "facets", "fuzzy", "prefix"} {
		b.Run(name, func(b *testing.B) {
			var ours, theirs []time.Duration
			for i := 0; b.Loop(); i++ {
				q := all[name](i)
				q.OpenNow, q.Now, q.Professional = false, noon, true // what bleve is not asked
				ours = append(ours, timed(func() { ask(b, own, q) }))
				r := bleveRequest(q, name)
				theirs = append(theirs, timed(func() {
					if _, err := peer.SearchInContext(b.Context(), r); err != nil {
						b.Fatal(err)
					}
				}))
			}
			slices.Sort(ours)
			slices.Sort(theirs)
			o, p := ours[len(ours)/2], theirs[len(theirs)/2]
			b.ReportMetric(float64(o.Microseconds()), "own-p50-µs")
			b.ReportMetric(float64(p.Microseconds()), "bleve-p50-µs")
			b.ReportMetric(float64(p)/float64(o), "times")
		})
	}
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func newBleve(b *testing.B, docs []search.Doc) bleve.Index {
	m := bleve.NewIndexMapping()
	m.StoreDynamic, m.DocValuesDynamic = false, false
	d := bleve.NewDocumentStaticMapping()
	text := bleve.NewTextFieldMapping()
	text.Store, text.IncludeTermVectors, text.DocValues = false, true, false
	d.AddFieldMappingsAt("text", text)
	for _, f := range []string{"audience", "channel", "anonymity", "cost", "format", "country", "language"} {
		k := bleve.NewTextFieldMapping()
		k.Analyzer, k.Store, k.IncludeTermVectors, k.DocValues = keyword.Name, false, false, true
		d.AddFieldMappingsAt(f, k)
	}
	m.DefaultMapping = d
	x, err := bleve.NewUsing("", m, scorch.Name, scorch.Name, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	for chunk := range slices.Chunk(docs, 1000) {
		batch := x.NewBatch()
		for _, d := range chunk {
			all := ""
			for _, t := range d.Texts {
				all += t.Text + "\n"
			}
			fields := map[string]any{"text": all, "country": d.Country, "language": d.Languages}
			for f, v := range d.Facets {
				fields[string(f)] = v
			}
			if err := batch.Index(fmt.Sprint(d.Country, d.ID), fields); err != nil {
				b.Fatal(err)
			}
		}
		if err := x.Batch(batch); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func bleveRequest(q search.Query, class string) *bleve.SearchRequest {
	var parts []query.Query
	if q.Text != "" {
		switch class {
		case "fuzzy":
			f := bleve.NewFuzzyQuery(q.Text)
			f.SetFuzziness(1)
			f.SetField("text")
			parts = append(parts, f)
		case "prefix":
			p := bleve.NewPrefixQuery(q.Text)
			p.SetField("text")
			parts = append(parts, p)
		default:
			t := bleve.NewMatchQuery(q.Text)
			t.SetField("text")
			t.SetOperator(query.MatchQueryOperatorAnd)
			parts = append(parts, t)
		}
	}
	for f, values := range q.Facets {
		var any []query.Query
		for _, v := range values {
			t := bleve.NewTermQuery(v)
			t.SetField(f)
			any = append(any, t)
		}
		parts = append(parts, bleve.NewDisjunctionQuery(any...))
	}
	r := bleve.NewSearchRequestOptions(bleve.NewConjunctionQuery(parts...), 20, 0, false)
	for _, f := range []string{"audience", "channel", "anonymity", "cost", "format", "country", "language"} {
		r.AddFacet(f, bleve.NewFacetRequest(f, 20))
	}
	return r
}
