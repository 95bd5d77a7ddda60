package feed_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

func TestRecords(t *testing.T) {
	r := feed.NewRecord(feedtest.RecordKey(1), "listing", 3, 20000, []byte("body"))
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := feed.ParseRecord(b)
	if err != nil || back.Key != r.Key || back.Revision != 3 || back.Modified != 20000 || back.Nonce != r.Nonce || string(back.Body) != "body" {
		t.Errorf("ParseRecord(Encode) = %+v, %v", back, err)
	}
	if again := feed.NewRecord(r.Key, "listing", 3, 20000, []byte("body")); again.Nonce == r.Nonce {
		t.Error("two records share a nonce")
	}
	if _, err := feed.NewRecord(r.Key, "listing", 1, 0, make([]byte, feed.MaxRecord)).Encode(); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("a record over the limit: %v", err)
	}
	if _, err := feed.ParseRecord(make([]byte, feed.MaxRecord+1)); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("bytes over the limit: %v", err)
	}
	for name, bend := range map[string]func(*feed.Record){
		"no version": func(r *feed.Record) { r.Version = 0 },
		"no type":    func(r *feed.Record) { r.Type = "" },
		"long type":  func(r *feed.Record) { r.Type = strings.Repeat("x", 33) },
	} {
		bad := r
		bend(&bad)
		b, err := bad.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := feed.ParseRecord(b); !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown, err := identity.Marshal(map[int]any{1: 1, 2: make([]byte, 16), 3: "listing", 4: 1, 5: 1, 6: make([]byte, 16), 7: []byte("b"), 99: "from the future"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.ParseRecord(unknown); err != nil {
		t.Errorf("an unknown field must be ignored: %v", err)
	}
	long, err := identity.Marshal(map[int]any{1: 1, 2: make([]byte, 17), 3: "listing", 7: []byte("b")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.ParseRecord(long); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("a key of 17 bytes: %v", err)
	}
}

func TestDaysAndMinutes(t *testing.T) {
	at := time.Date(2026, 3, 1, 23, 59, 59, 0, time.FixedZone("", -3600))
	if got := feed.DayOf(at).Time(); !got.Equal(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the UTC day of %s is %s", at, got)
	}
	if got := feed.MinuteOf(at).Time(); !got.Equal(time.Date(2026, 3, 2, 0, 59, 0, 0, time.UTC)) {
		t.Errorf("the UTC minute of %s is %s", at, got)
	}
}

func TestCheckItem(t *testing.T) {
	k := feedtest.RecordKey(1)
	raw := feedtest.Record(k, 1, "body")
	good := feed.Change{Seq: 4, Key: k, Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}
	gone := feed.Change{Seq: 4, Key: k, Op: feed.Delete}
	for _, c := range []struct {
		name string
		bend func(*feed.Change)
		from feed.Change
		raw  []byte
		err  error
	}{
		{"a record", func(*feed.Change) {}, good, raw, nil},
		{"a deletion", func(*feed.Change) {}, gone, nil, nil},
		{"an erasure", func(c *feed.Change) { c.Op = feed.Erase }, gone, nil, nil},
		{"another record", func(*feed.Change) {}, good, feedtest.Record(k, 1, "bodY"), feed.ErrMismatch},
		{"a longer record", func(*feed.Change) {}, good, append(bytes.Clone(raw), 0), feed.ErrMismatch},
		{"no record", func(*feed.Change) {}, good, nil, feed.ErrMismatch},
		{"under another key", func(c *feed.Change) { c.Key = feedtest.RecordKey(2) }, good, raw, feed.ErrMismatch},
		{"not a record", func(c *feed.Change) { c.Hash, c.Size = feed.HashRecord([]byte("xx")), 2 }, good, []byte("xx"), identity.ErrMalformed},
		{"another size", func(c *feed.Change) { c.Size-- }, good, raw, feed.ErrMismatch},
		{"size nought", func(c *feed.Change) { c.Size = 0 }, good, raw, feed.ErrTooLarge},
		{"size over the limit", func(c *feed.Change) { c.Size = feed.MaxRecord + 1 }, good, raw, feed.ErrTooLarge},
		{"number nought", func(c *feed.Change) { c.Seq = 0 }, good, raw, identity.ErrMalformed},
		{"number over 2^53", func(c *feed.Change) { c.Seq = 1 << 53 }, good, raw, identity.ErrMalformed},
		{"no operation", func(c *feed.Change) { c.Op = 0 }, good, raw, identity.ErrMalformed},
		{"unknown operation", func(c *feed.Change) { c.Op = 4 }, gone, nil, identity.ErrMalformed},
		{"a deletion with a record", func(*feed.Change) {}, gone, raw, identity.ErrMalformed},
		{"a deletion with a hash", func(c *feed.Change) { c.Hash[3] = 1 }, gone, nil, identity.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := c.from
			c.bend(&change)
			item, err := feed.Check(change, c.raw)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("Check: %v, want %v", err, c.err)
			}
			if err == nil && item.Change() != change {
				t.Errorf("the item holds %v", item.Change())
			}
		})
	}
}

func TestSort(t *testing.T) {
	a := feedtest.NewFederation("ada").Author("ada").Fill(0, 200, "one").Fill(50, 100, "two").Delete(feedtest.RecordKey(3)).Delete(feedtest.RecordKey(60))
	_, items := a.Head(nil)
	seen := make(map[feed.Key]uint64)
	last := feed.Change{}
	for i, item := range items {
		c := item.Change()
		if i > 0 && (c.Key.Bucket() < last.Key.Bucket() || c.Key.Bucket() == last.Key.Bucket() && bytes.Compare(last.Key[:], c.Key[:]) >= 0) {
			t.Fatalf("out of order at %d", i)
		}
		seen[c.Key], last = c.Seq, c
	}
	if len(seen) != 200 || seen[feedtest.RecordKey(3)] != 251 || seen[feedtest.RecordKey(60)] != 252 || seen[feedtest.RecordKey(70)] != 221 {
		t.Errorf("not each key once at its latest: %d keys", len(seen))
	}
}

func TestParseHeads(t *testing.T) {
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	good := feed.Head{Version: 1, Federation: f.ID, Origin: m.Origin, Epoch: 1, N: 1, Seq: 3, Count: 2, Bytes: 10, Issued: 100}
	env := feedtest.SignHead(good, m.Publish)
	h, err := feed.ParseHead(env)
	if err != nil || h.Head != good || !bytes.Equal(h.Envelope, env) {
		t.Fatalf("ParseHead = %+v, %v", h, err)
	}
	two, err := feed.ParseHead(feedtest.SignHead(good, m.Publish, m.Admin))
	if err != nil || two.Hash != h.Hash {
		t.Error("a second signature changes the name of the head")
	}
	for name, bend := range map[string]func(*feed.Head){
		"no version":                func(h *feed.Head) { h.Version = 0 },
		"number nought":             func(h *feed.Head) { h.N = 0 },
		"numbered over 2^53":        func(h *feed.Head) { h.Seq = 1 << 53 },
		"more records than changes": func(h *feed.Head) { h.Count = 4 },
		"floor above its changes":   func(h *feed.Head) { h.Floor = 4 },
	} {
		bad := good
		bend(&bad)
		if _, err := feed.ParseHead(feedtest.SignHead(bad, m.Publish)); !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := feed.ParseHead(make([]byte, feed.MaxHead+1)); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := feed.ParseHead(append(bytes.Clone(env), 0)); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("trailing bytes: %v", err)
	}
	beat := feed.Beat{Version: 1, Federation: f.ID, Origin: m.Origin, Epoch: 1, N: 1, Counter: 1, Issued: 10, Expires: 20}
	b, err := beat.Sign(m.Publish)
	if err != nil || b.Beat != beat {
		t.Fatalf("a beat: %v", err)
	}
	if back, err := feed.ParseBeat(b.Envelope); err != nil || back.Beat != beat {
		t.Errorf("ParseBeat = %+v, %v", back, err)
	}
	beat.Expires = 9
	if _, err := beat.Sign(m.Publish); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("a beat that expires before it was issued: %v", err)
	}
}

func TestGuardFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "guard")
	if _, there, err := feed.LoadGuard(path); there || err != nil {
		t.Fatalf("no file: %t, %v", there, err)
	}
	g := feed.Guard{Origin: identity.NewOriginID(), Epoch: 3, N: 77, Hash: identity.Sum(1, []byte("x")), Instance: [8]byte{0xab, 7: 1}}
	for n := range uint64(3) {
		g.N += n
		if err := g.Save(path); err != nil {
			t.Fatal(err)
		}
		if back, there, err := feed.LoadGuard(path); back != g || !there || err != nil {
			t.Fatalf("LoadGuard = %+v, %t, %v", back, there, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left beside the guard: %v", left)
	}
	text := g.String()
	for name, bad := range map[string]string{
		"empty": "", "title only": "waymark publish guard 1", "title line only": "waymark publish guard 1\n",
		"another version": strings.Replace(text, "guard 1", "guard 2", 1), "cut off": text[:len(text)-9], "more besides": text + "x\n",
		"a short hash": strings.Replace(text, "hash ", "hash 00", 1), "no number": strings.Replace(text, "n 80", "n eighty", 1),
		"a sign": strings.Replace(text, "n 80", "n +80", 1), "zeros": strings.Repeat("\x00", 200), "long": strings.Repeat(text, 20),
		"carriage returns": strings.ReplaceAll(text, "\n", "\r\n"), "upper case": strings.ToUpper(text),
	} {
		if bad == text {
			t.Fatalf("%s: nothing is bent", name)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, there, err := feed.LoadGuard(path); there || !errors.Is(err, feed.ErrGuard) {
			t.Errorf("%s: %t, %v, want ErrGuard", name, there, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(feedtest.Record(feedtest.RecordKey(1), 1, "body"))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := feed.ParseRecord(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			return // what was unknown was dropped, what was read may still be too large to write
		}
		if back, err := feed.ParseRecord(again); err != nil || back.Key != r.Key || !bytes.Equal(back.Body, r.Body) || back.Modified != r.Modified {
			t.Fatalf("read %+v, written and read again %+v, %v", r, back, err)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	fed := feedtest.NewFederation("ada")
	a := fed.Author("ada").Fill(0, 3, "x")
	env, _ := a.Head(nil)
	f.Add(env)
	f.Add(a.Beat(1).Envelope)
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := fed.Rules().CheckHead(b); err == nil {
			if want, _ := feed.ParseHead(env); h.Hash != want.Hash {
				t.Fatalf("a forged head: %x", b)
			}
		}
		if h, err := feed.ParseHead(b); err == nil && (h.N == 0 || h.Count > h.Seq) {
			t.Fatal("numbers that cannot be")
		}
	})
}

func FuzzParseBeat(f *testing.F) {
	fed := feedtest.NewFederation("ada")
	a := fed.Author("ada").Fill(0, 3, "x")
	env, _ := a.Head(nil)
	beat := a.Beat(7)
	f.Add(env)
	f.Add(beat.Envelope)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := fed.Rules().CheckBeat(b); err == nil && got.Beat != beat.Beat {
			t.Fatalf("a forged beat: %x", b)
		}
	})
}

func FuzzParseGuard(f *testing.F) {
	f.Add(feed.Guard{Epoch: 1, N: 2}.String())
	f.Add("waymark publish guard 1")
	f.Add("waymark publish guard 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if g, err := feed.ParseGuard(text); err == nil && g.String() != text {
			t.Fatalf("%q was read, %q would be written", text, g.String())
		}
	})
}

// FuzzCheck decodes a change and its record as a peer may send them.
func FuzzCheck(f *testing.F) {
	k := feedtest.RecordKey(1)
	raw := feedtest.Record(k, 1, "body")
	for _, c := range []feed.Change{
		{Seq: 4, Key: k, Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}, {Seq: 4, Key: k, Op: feed.Delete},
	} {
		b, err := identity.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, raw)
		f.Add(b, []byte{})
	}
	f.Fuzz(func(t *testing.T, encoded, raw []byte) {
		var c feed.Change
		if identity.Unmarshal(encoded, &c) != nil {
			return
		}
		item, err := feed.Check(c, raw)
		if err != nil {
			return
		}
		if c.Live() && (feed.HashRecord(item.Raw()) != c.Hash || len(item.Raw()) != int(c.Size)) || !c.Live() && item.Raw() != nil {
			t.Fatalf("an item that does not prove itself: %+v", c)
		}
	})
}

func ExampleGuard_String() {
	fmt.Print(feed.Guard{Origin: identity.OriginID{1}, Epoch: 1, N: 5}.String())
	// Output:
	// waymark publish guard 1
	// origin 01000000000000000000000000000000
	// epoch 1
	// n 5
	// hash 0000000000000000000000000000000000000000000000000000000000000000
	// instance 0000000000000000
}
