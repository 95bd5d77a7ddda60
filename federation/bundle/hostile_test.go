package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// sentinels are all that a refusal may wrap.
var sentinels = []error{
	bundle.ErrNotBundle, bundle.ErrVersion, bundle.ErrTruncated, bundle.ErrDamaged, bundle.ErrPart, bundle.ErrBomb, bundle.ErrTooLarge,
	bundle.ErrForeign, bundle.ErrDemo, bundle.ErrWhich, bundle.ErrBase, bundle.ErrParted, bundle.ErrUnconfirmed, bundle.ErrExporter, bundle.ErrContent,
}

func named(err error) bool {
	return slices.ContainsFunc(sentinels, func(kind error) bool { return errors.Is(err, kind) })
}

// untouched fails when a refused bundle left anything behind.
func (r *replica) untouched() {
	r.t.Helper()
	origins, err := r.store.Origins()
	if err != nil || len(origins) != 0 || len(r.chain) != 0 || len(r.items) != 0 {
		r.t.Fatalf("something was taken: %d feeds, %d entries, %d items, %v", len(origins), len(r.chain), len(r.items), err)
	}
}

// TestTruncated cuts a bundle after every part, with a compression that is
// whole, and at many places of the file.
func TestTruncated(t *testing.T) {
	w := three(t)
	file := w.export(func(o *bundle.ExportOptions) { o.Docket = items("a ruling") })
	federation := func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() }
	p := parts(t, file)
	for n := range p {
		r := newReplica(t, w.at)
		if _, err := r.take(pack(t, join(p[:n])), federation); !errors.Is(err, bundle.ErrTruncated) {
			t.Fatalf("after %d parts: %v", n, err)
		}
		r.untouched()
		plain := join(p[:n+1])
		if _, err := r.take(pack(t, plain[:len(plain)-1]), federation); !errors.Is(err, bundle.ErrTruncated) {
			t.Fatalf("in part %d: %v", n, err)
		}
		r.untouched()
	}
	for n := 0; n < len(file); n += 1 + len(file)/150 {
		r := newReplica(t, w.at)
		_, err := r.take(file[:n], federation)
		if n >= 4 && !errors.Is(err, bundle.ErrTruncated) || n < 4 && !errors.Is(err, bundle.ErrNotBundle) {
			t.Fatalf("after %d of %d bytes: %v", n, len(file), err)
		}
		r.untouched()
	}
}

// TestFlipped changes single bytes of the file, as a bad stick does.
func TestFlipped(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	want, err := bundle.Check(t.Context(), bytes.NewReader(file), int64(len(file)), bundle.ImportOptions{Now: w.at})
	if err != nil {
		t.Fatal(err)
	}
	step := 1 + len(file)/200
	for _, flip := range []byte{0x01, 0xff} {
		for i := 0; i < len(file); i += step {
			bad := bytes.Clone(file)
			bad[i] ^= flip
			r := newReplica(t, w.at)
			report, err := r.take(bad, func(o *bundle.ImportOptions) { o.Federation, o.DryRun = w.state.Federation(), true })
			if err == nil { // a bit that the compression does not use
				for j := range report.Feeds {
					report.Feeds[j].Outcome = want.Feeds[j].Outcome
				}
				report.NewEntries = want.NewEntries
				if !reflect.DeepEqual(report, want) {
					t.Fatalf("byte %d: another content is believed", i)
				}
				continue
			}
			if !named(err) {
				t.Fatalf("byte %d: an error without a name: %v", i, err)
			}
			if errors.Is(err, bundle.ErrContent) && !errors.Is(err, bundle.ErrDamaged) {
				t.Fatalf("byte %d: damage is called a forgery: %v", i, err)
			}
			r.untouched()
		}
	}
	// The same inside the compression, where only our own checks see it.
	plain := unpack(t, file)
	for i := 0; i < len(plain); i += 1 + len(plain)/200 {
		bad := bytes.Clone(plain)
		bad[i] ^= 0x10
		r := newReplica(t, w.at)
		_, err := r.take(pack(t, bad), func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() })
		if err == nil || !named(err) {
			t.Fatalf("byte %d of the content: %v", i, err)
		}
		r.untouched()
	}
}

func TestNotABundle(t *testing.T) {
	w := three(t)
	file := w.export(nil)
	plain := unpack(t, file)
	tests := []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, bundle.ErrNotBundle},
		{"text", []byte("a shopping list\n"), bundle.ErrNotBundle},
		{"compressed text", pack(t, []byte("a shopping list, long enough\n")), bundle.ErrNotBundle},
		{"a later version", pack(t, append([]byte("waymark bundle 2\n"), plain[len(firstLine):]...)), bundle.ErrVersion},
		{"more after the end", pack(t, append(bytes.Clone(plain), 0)), bundle.ErrPart},
		{"another frame after the end", append(bytes.Clone(file), pack(t, []byte("more"))...), bundle.ErrPart},
		{"rubbish after the end", append(bytes.Clone(file), "rubbish"...), bundle.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplica(t, w.at)
			if _, err := r.take(tt.file, func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() }); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			r.untouched()
		})
	}
}

// TestBomb: a few kilobytes that unpack to gigabytes cost little memory and
// little time.
func TestBomb(t *testing.T) {
	w := three(t)
	p := parts(t, w.export(nil))
	stop := index(t, p, partChanges, 0)
	editManifest(t, p, func(m *bundle.Manifest) { m.Feeds[0].Changes, m.Feeds[0].Base = 1<<20, feed.Place{Epoch: 1, N: 1} })
	before := join(p[:stop])
	record := encode(t, []changePart{})
	endless := func(body []byte, n int) []byte {
		var out bytes.Buffer
		e, err := zstd.NewWriter(&out, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		e.Write(before)
		for range n {
			e.Write(join([]part{{partChanges, body}})[len(firstLine):])
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	wide, err := zstd.NewWriter(nil, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	var far bytes.Buffer
	wide.Reset(&far)
	wide.Write(before)
	wide.Flush()
	wide.Write(make([]byte, 1<<20))
	wide.Close()
	tests := []struct {
		name string
		file []byte
		want error
	}{
		{"parts without a record", endless(record, 1_500_000), bundle.ErrBomb},
		{"a part of zeros", endless(make([]byte, 1<<20), 1), bundle.ErrPart},
		{"a window of 8 MiB", far.Bytes(), bundle.ErrBomb},
		{"a part that says it is huge", pack(t, append(bytes.Clone(before), partChanges, 0xff, 0xff, 0xff, 0xff)), bundle.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m0, m1 runtime.MemStats
			runtime.ReadMemStats(&m0)
			_, err := bundle.Check(context.Background(), bytes.NewReader(tt.file), int64(len(tt.file)), bundle.ImportOptions{Now: w.at})
			runtime.ReadMemStats(&m1)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%d bytes: got %v, want %v", len(tt.file), err, tt.want)
			}
			if got := m1.TotalAlloc - m0.TotalAlloc; got > 256<<20 {
				t.Errorf("%d MiB were allocated on the way", got>>20)
			}
		})
	}
}

// TestParted: two registries of one federation are never mixed.
func TestParted(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	r.mustTake(w.export(nil))
	state, chain := w.state, slices.Clone(w.chain)
	w.command(w.founder.Invite(t, w.state, "FI"))
	r.state, r.chain = w.state, slices.Clone(w.chain)
	w.state, w.chain = state, chain
	w.command(w.founder.Invite(t, w.state, "SE"))
	held := len(r.chain)
	w.confirm()
	if _, err := r.take(w.export(nil), nil); !errors.Is(err, bundle.ErrParted) {
		t.Fatalf("got %v", err)
	}
	if len(r.chain) != held {
		t.Error("entries were taken")
	}
}

func TestDemo(t *testing.T) {
	w := three(t)
	m := registrytest.New(t, "SE")
	entry, s, err := registry.Found("A demonstration", true, m.Candidate, m.Keys, registrytest.Start)
	if err != nil {
		t.Fatal(err)
	}
	r := newReplica(t, w.at)
	r.state, r.chain = s, chain{entry.Encode()}
	if _, err := r.take(w.export(nil), nil); !errors.Is(err, bundle.ErrDemo) {
		t.Errorf("a real bundle into a demonstration: %v", err)
	}
	demo := &world{t: t, state: s, chain: r.chain, founder: m, members: map[string]*registrytest.Member{"SE": m}, store: feedtest.NewMemory(), at: w.at}
	r = newReplica(t, w.at)
	r.state, r.chain = w.state, w.chain
	if _, err := r.take(demo.export(nil), nil); !errors.Is(err, bundle.ErrDemo) {
		t.Errorf("a demonstration's bundle into a real federation: %v", err)
	}
}

// TestOldBundle: an old bundle moves nothing back.
func TestOldBundle(t *testing.T) {
	w := three(t)
	old := w.export(nil)
	w.publish("DE", drop(feed.Erase, 3, 4)...)
	w.command(w.founder.Invite(t, w.state, "FI"))
	w.confirm()
	r := newReplica(t, w.at)
	r.mustTake(w.export(nil))
	report := r.mustTake(old)
	if got := outcomes(report); got["DE"] != bundle.OutcomeHeld || got["PL"] != bundle.OutcomeHeld || report.NewEntries != 0 {
		t.Errorf("report %+v", report)
	}
	r.same(w)
}

// racing publishes behind the importer's back before it lets a step through.
type racing struct {
	feed.Appender
	before func()
}

func (r *racing) Append(ctx context.Context, v *feed.Verified) error {
	if f := r.before; f != nil {
		r.before = nil
		f()
	}
	return r.Appender.Append(ctx, v)
}

// TestMovedMeanwhile: what a peer brings while a bundle is taken is not lost,
// and the bundle goes on from there.
func TestMovedMeanwhile(t *testing.T) {
	w := three(t)
	older := w.export(nil)
	w.publish("DE", put(100, 110, "drei")...)
	middle := w.export(nil)
	w.publish("DE", put(120, 130, "vier")...)
	newest := w.export(nil)
	for name, meanwhile := range map[string][]byte{"a state between": middle, "a newer state": newest} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, w.at)
			r.mustTake(older)
			bring := newest
			if bytes.Equal(meanwhile, newest) {
				bring = middle
			}
			report, err := r.take(bring, func(o *bundle.ImportOptions) {
				o.Appender = &racing{r.store, func() { r.mustTake(meanwhile) }}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := bundle.OutcomeTaken
			if bytes.Equal(bring, middle) {
				want = bundle.OutcomeHeld
			}
			if got := outcomes(report)["DE"]; got != want {
				t.Errorf("outcome %s, want %s", got, want)
			}
			r.same(w)
		})
	}
}

// TestFileChanges: a file that changes between the two passes is noticed.
func TestFileChanges(t *testing.T) {
	w := three(t)
	first := w.export(nil)
	w.publish("LT", put(2000, 2003, "vienas")...)
	second := w.export(nil)
	r := newReplica(t, w.at)
	o := r.options()
	o.Federation = w.state.Federation()
	f := &shifty{first: first, second: second}
	o.Progress = func(p bundle.Progress) { f.shifted = f.shifted || p.Stage == bundle.StageCheck && p.Done == p.Total }
	if _, err := bundle.Import(t.Context(), f, int64(len(first)), o); !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrTruncated) {
		t.Fatalf("got %v", err)
	}
	r.untouched()
}

type shifty struct {
	first, second []byte
	shifted       bool
}

func (s *shifty) ReadAt(p []byte, off int64) (int, error) {
	b := s.first
	if s.shifted {
		b = s.second
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

func FuzzCheck(f *testing.F) {
	w := three(f)
	file := w.export(func(o *bundle.ExportOptions) { o.Docket = items("a ruling") })
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("waymark bundle 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := bundle.Check(t.Context(), bytes.NewReader(b), int64(len(b)), bundle.ImportOptions{Now: w.at}); err != nil && !named(err) && !errors.Is(err, registry.ErrUnknownKind) {
			t.Fatalf("an error without a name: %v", err)
		}
	})
}

// FuzzParts looks behind the compression and the signature: any content, signed
// by a member's node. What is believed of it is the truth.
func FuzzParts(f *testing.F) {
	w := found(f, "DE", "LT")
	w.publish("DE", put(0, 3, "eins")...)
	w.publish("DE", put(1, 2, "zwei")...)
	w.confirm()
	p := parts(f, w.export(func(o *bundle.ExportOptions) { o.Docket = items("a ruling") }))
	f.Add(join(p[:len(p)-1])[len(firstLine):], uint16(0))
	for i := range p {
		f.Add(join(p[:i])[len(firstLine):], uint16(i))
	}
	want := contents(f, w.store, w.members["DE"].Origin)
	f.Fuzz(func(t *testing.T, plain []byte, _ uint16) {
		plain = append([]byte(firstLine), plain...)
		r := newReplica(t, w.at)
		_, err := r.take(sealed(t, plain, w), func(o *bundle.ImportOptions) { o.Federation = w.state.Federation() })
		if err != nil {
			if !named(err) && !errors.Is(err, registry.ErrUnknownKind) {
				t.Fatalf("an error without a name: %v", err)
			}
			r.untouched()
			return
		}
		if got := contents(t, r.store, w.members["DE"].Origin); got != nil && !slices.Equal(got, want) {
			t.Fatalf("another feed is believed: %q", got)
		}
	})
}

// sealed signs any content as a bundle.
func sealed(t testing.TB, plain []byte, w *world) []byte {
	body := encode(t, trailerPart{bundle.Version, w.state.Federation(), uint64(len(plain)), identity.Sum(plain[0], plain[1:])})
	end := join([]part{{partTrailer, identity.Sign(identity.TypeBundle, w.state.Federation(), body, w.founder.Keys.Node).Encode()}})
	return pack(t, append(plain, end[len(firstLine):]...))
}
