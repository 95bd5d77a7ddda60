package bundle_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestForged: whoever has the key of a member's node can sign any file, and
// gains nothing by it.
func TestForged(t *testing.T) {
	w := three(t)
	w.publish("LT", put(2000, 2003, "vienas")...)
	w.confirm()
	docket := func(o *bundle.ExportOptions) { o.Docket = items("a ruling") }
	genuine := w.export(docket)
	m, err := bundle.ReadManifest(bytes.NewReader(genuine))
	if err != nil {
		t.Fatal(err)
	}
	// DE is feed 0, LT 1, PL 2; DE has one part of changes as the others.
	stranger := registrytest.New(t, "SE")
	other := three(t)
	other.confirm()
	foreign := parts(t, other.export(nil))
	tests := []struct {
		name string
		want error
		bend func(t *testing.T, p []part) []part
	}{
		{"two feeds change places", bundle.ErrPart, func(t *testing.T, p []part) []part {
			a, b := index(t, p, partFeed, 0), index(t, p, partFeed, 1)
			p[a], p[b] = p[b], p[a]
			return p
		}},
		{"the changes of two feeds change places", bundle.ErrPart, func(t *testing.T, p []part) []part {
			a, b := index(t, p, partChanges, 0), index(t, p, partChanges, 1)
			p[a], p[b] = p[b], p[a]
			return p
		}},
		{"the heads of two feeds change places", bundle.ErrPart, func(t *testing.T, p []part) []part {
			a, b := index(t, p, partHeads, 0), index(t, p, partHeads, 1)
			p[a], p[b] = p[b], p[a]
			return p
		}},
		{"a feed of another federation", bundle.ErrPart, func(t *testing.T, p []part) []part {
			for _, kind := range []byte{partHeads, partChanges} {
				p[index(t, p, kind, 0)] = foreign[index(t, foreign, kind, 0)]
			}
			return p
		}},
		{"a feed of another federation, named in the table of contents", bundle.ErrContent, func(t *testing.T, p []part) []part {
			from, err := bundle.ParseManifest(foreign[0].body)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []byte{partHeads, partChanges} {
				p[index(t, p, kind, 0)] = foreign[index(t, foreign, kind, 0)]
			}
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0] = from.Feeds[0] })
			return p
		}},
		{"a feed twice", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[1] = m.Feeds[0] })
			return p
		}},
		{"a feed under another country", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Country = "PL" })
			return p
		}},
		{"a feed that the registry does not know", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Origin[0]++ })
			return p
		}},
		{"a feed less than named", bundle.ErrPart, func(t *testing.T, p []part) []part {
			return p[:index(t, p, partFeed, 2)]
		}},
		{"a feed more than named", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds = m.Feeds[:2] })
			return p
		}},
		{"no head", bundle.ErrPart, func(t *testing.T, p []part) []part {
			return slices.Delete(p, index(t, p, partHeads, 1), index(t, p, partHeads, 1)+1)
		}},
		{"a chain of heads with a gap", bundle.ErrPart, func(t *testing.T, p []part) []part {
			i := index(t, p, partHeads, 0)
			var heads [][]byte
			decode(t, p[i].body, &heads)
			p[i].body = encode(t, append([][]byte{heads[0], heads[0]}, heads[1:]...))
			return p
		}},
		{"a record that is not the one signed for", bundle.ErrContent, func(t *testing.T, p []part) []part {
			editChanges(t, p, 0, func(c []changePart) []changePart { c[3].Record[len(c[3].Record)-1] ^= 1; return c })
			return p
		}},
		{"a record of the maker's own", bundle.ErrContent, func(t *testing.T, p []part) []part {
			editChanges(t, p, 0, func(c []changePart) []changePart {
				r, err := feed.ParseRecord(c[3].Record)
				if err != nil {
					t.Fatal(err)
				}
				r.Body = bytes.Repeat([]byte{'x'}, len(r.Body))
				raw, err := r.Encode()
				if err != nil {
					t.Fatal(err)
				}
				c[3].Change.Hash, c[3].Change.Size, c[3].Record = feed.HashRecord(raw), uint32(len(raw)), raw
				return c
			})
			return p
		}},
		{"a record under another key", bundle.ErrContent, func(t *testing.T, p []part) []part {
			editChanges(t, p, 0, func(c []changePart) []changePart { c[3].Change.Key[15]++; return c })
			return p
		}},
		{"a record left out", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart { return c[1:] })
			return p
		}},
		{"a record left out, and not named", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart {
				editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[2].Changes--; m.Feeds[2].Bytes -= uint64(c[0].Change.Size) })
				return c[1:]
			})
			return p
		}},
		{"a record twice", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart { return slices.Insert(c, 1, c[0]) })
			return p
		}},
		{"records out of order", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart { c[0], c[1] = c[1], c[0]; return c })
			return p
		}},
		{"a number beyond the head", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart { c[0].Change.Seq = 1 << 40; return c })
			return p
		}},
		{"another number than signed for", bundle.ErrContent, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart {
				c[0].Change.Seq, c[1].Change.Seq = c[1].Change.Seq, c[0].Change.Seq
				return c
			})
			return p
		}},
		{"a deletion in a whole feed", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editChanges(t, p, 2, func(c []changePart) []changePart {
				c[0].Change, c[0].Record = feed.Change{Seq: c[0].Change.Seq, Key: c[0].Change.Key, Op: feed.Delete}, nil
				return c
			})
			return p
		}},
		{"an older place than signed for", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Place.N-- })
			return p
		}},
		{"a difference that says it is whole", bundle.ErrPart, func(t *testing.T, p []part) []part {
			d := parts(t, w.export(func(o *bundle.ExportOptions) { o.Since = m.Raw() }))
			editManifest(t, d, func(m *bundle.Manifest) { m.Feeds[0].Base = feed.Place{} })
			return d
		}},
		{"a difference from a later place", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Base = m.Feeds[0].Place; m.Feeds[0].Base.N++ })
			return p
		}},
		{"an entry of the registry left out", bundle.ErrContent, func(t *testing.T, p []part) []part {
			i := index(t, p, partEntries, 0)
			var e entriesPart
			decode(t, p[i].body, &e)
			e.Entries = slices.Delete(e.Entries, 2, 3)
			p[i].body = encode(t, e)
			editManifest(t, p, func(m *bundle.Manifest) { m.Registry.Seq-- })
			return slices.Delete(p, index(t, p, partRegistry, 0), index(t, p, partRegistry, 0)+1)
		}},
		{"the registry cut short", bundle.ErrPart, func(t *testing.T, p []part) []part {
			i := index(t, p, partEntries, 0)
			var e entriesPart
			decode(t, p[i].body, &e)
			e.Entries = e.Entries[:len(e.Entries)-1]
			p[i].body = encode(t, e)
			editManifest(t, p, func(m *bundle.Manifest) { m.Registry.Seq-- })
			return p
		}},
		{"the registry of another federation", bundle.ErrPart, func(t *testing.T, p []part) []part {
			p[index(t, p, partEntries, 0)] = foreign[index(t, foreign, partEntries, 0)]
			return p
		}},
		{"another hash of the registry", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Registry.Hash[0]++ })
			return p
		}},
		{"another name of the federation", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Name = "Rescue" })
			return p
		}},
		{"a demonstration's mark", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Demo = true })
			return p
		}},
		{"a head of the registry by another voter", bundle.ErrContent, func(t *testing.T, p []part) []part {
			h := w.heads.Newest().Head
			h.Issued++
			env := h.Envelope([]identity.Signature{w.members["PL"].Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
			p[index(t, p, partRegistry, 0)].body = encode(t, [][]byte{env})
			return p
		}},
		{"a head of the registry for other entries", bundle.ErrPart, func(t *testing.T, p []part) []part {
			h := w.heads.Newest().Head
			h.Hash[0]++
			env := h.Envelope([]identity.Signature{w.founder.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
			p[index(t, p, partRegistry, 0)].body = encode(t, [][]byte{env})
			return p
		}},
		{"only an old head of the registry", bundle.ErrPart, func(t *testing.T, p []part) []part {
			h := w.heads.Newest().Head
			h.Seq = 1
			s, err := registry.Replay(w.chain[:1])
			if err != nil {
				t.Fatal(err)
			}
			h.Hash = s.Hash()
			env := h.Envelope([]identity.Signature{w.founder.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())})
			p[index(t, p, partRegistry, 0)].body = encode(t, [][]byte{env})
			return p
		}},
		{"a command of a later version", registry.ErrUnknownKind, func(t *testing.T, p []part) []part {
			c, err := registry.Command{
				Version: registry.Version, Federation: w.state.Federation(), Kind: "future", ID: registry.NewID(), Base: w.state.Seq(), Payload: []byte{0},
			}.Sign(w.founder.Keys.Admin)
			if err != nil {
				t.Fatal(err)
			}
			i := index(t, p, partEntries, 0)
			var e entriesPart
			decode(t, p[i].body, &e)
			e.Entries = append(e.Entries, registry.Entry{Time: w.state.Time(), Command: c}.Encode())
			p[i].body = encode(t, e)
			editManifest(t, p, func(m *bundle.Manifest) { m.Registry.Seq++ })
			return p
		}},
		{"a part of an unknown kind", bundle.ErrPart, func(t *testing.T, p []part) []part {
			return slices.Insert(p, 1, part{9, []byte("?")})
		}},
		{"a part twice", bundle.ErrPart, func(t *testing.T, p []part) []part {
			i := index(t, p, partEntries, 0)
			return slices.Insert(p, i, p[i])
		}},
		{"a second table of contents", bundle.ErrPart, func(t *testing.T, p []part) []part {
			return slices.Insert(p, 1, p[0])
		}},
		{"evidence after the feeds", bundle.ErrPart, func(t *testing.T, p []part) []part {
			i := index(t, p, partItems, 0)
			return append(slices.Delete(slices.Clone(p[:len(p)-1]), i, i+1), p[i])
		}},
		{"bytes that are no CBOR", bundle.ErrPart, func(t *testing.T, p []part) []part {
			p[index(t, p, partChanges, 0)].body = []byte("?")
			return p
		}},
		{"a newer table of contents", bundle.ErrVersion, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Version = 2 })
			return p
		}},
		{"more records than a feed may have", bundle.ErrTooLarge, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Changes = 1<<20 + 1 })
			return p
		}},
		{"more bytes than the file can hold", bundle.ErrBomb, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Changes = 1 << 20; m.Feeds[0].Bytes = 4 << 30 })
			return p
		}},
		{"more bytes than the records can have", bundle.ErrPart, func(t *testing.T, p []part) []part {
			editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Changes = 1 })
			return p
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.bend(t, parts(t, genuine))
			file := forge(t, p, w.founder.Keys.Node)
			r := newReplica(t, w.at)
			report, err := r.take(file, func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() })
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v (%+v)", err, tt.want, report)
			}
			if errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("a forged file is called damaged: %v", err)
			}
			r.untouched()
		})
	}
	t.Run("signed by a stranger", func(t *testing.T) {
		p := parts(t, genuine)
		editManifest(t, p, func(m *bundle.Manifest) { m.Exporter = stranger.Keys.Node.Public() })
		r := newReplica(t, w.at)
		if _, err := r.take(forge(t, p, stranger.Keys.Node), nil); !errors.Is(err, bundle.ErrExporter) {
			t.Fatalf("got %v", err)
		}
		r.untouched()
	})
	t.Run("signed by another node than named", func(t *testing.T) {
		r := newReplica(t, w.at)
		if _, err := r.take(forge(t, parts(t, genuine), w.members["PL"].Keys.Node), nil); !errors.Is(err, bundle.ErrDamaged) {
			t.Fatalf("got %v", err)
		}
		r.untouched()
	})
	t.Run("unbent", func(t *testing.T) {
		r := newReplica(t, w.at)
		if _, err := r.take(forge(t, parts(t, genuine), w.founder.Keys.Node), nil); err != nil {
			t.Fatal(err)
		}
		r.same(w)
	})
}
