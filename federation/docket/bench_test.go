package docket_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// filled is a docket with takedowns that hold, as many as a federation may make
// while it has no quorum.
func filled(b *testing.B, n int) (*Federation, *docket.Docket, func(i int) []byte) {
	f := NewFederation(b, "PL", "DE", "LT", "FI", "NL")
	now := time.Unix(f.Time(), 0)
	d, err := docket.New(docket.Options{Drawer: newDrawer(), State: func() *registry.State { return f.State }, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	ruling := func(i int) []byte {
		r := f.Members["DE"].Takedown(1)
		binary.BigEndian.PutUint32(r.Record[8:], uint32(i))
		return Ruling(b, f.State, r, f.Members["PL"], f.Members["LT"], f.Members["FI"])
	}
	for i := range n {
		if _, err := d.AddRuling(ruling(i)); err != nil {
			b.Fatal(err)
		}
	}
	return f, d, ruling
}

func BenchmarkHidden(b *testing.B) {
	f, d, _ := filled(b, 300)
	o := f.Members["DE"].Origin
	for b.Loop() {
		if _, _, ok := d.View().Hidden(o, feed.Key{1}); !ok {
			b.Fatal("not hidden")
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	_, d, ruling := filled(b, 300)
	i := 300
	for b.Loop() {
		b.StopTimer()
		r := ruling(i % 4000)
		i++
		b.StartTimer()
		if _, err := d.AddRuling(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefresh is what a new entry of the registry costs.
func BenchmarkRefresh(b *testing.B) {
	f, d, _ := filled(b, 300)
	for b.Loop() {
		next := *f.State // another state that says the same
		f.State = &next
		d.Refresh()
	}
}
