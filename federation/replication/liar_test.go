package replication_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// liar answers by what a path ends in, and to all else that it failed.
type liar map[string]func(*http.Request) []byte

func (l liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := l[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	if strings.HasSuffix(r.URL.Path, "/r1/heads") {
		answer = l["all"]
	}
	if answer == nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer(r))
}

// The messages as anyone may write them by the description of the protocol.
type m = map[int]any

func wire(v any) []byte {
	b, err := replication.Encode(v)
	if err != nil {
		panic(err)
	}
	return b
}

func say(b []byte) func(*http.Request) []byte { return func(*http.Request) []byte { return b } }

func showing(head []byte) func(*http.Request) []byte {
	return say(wire(m{1: []any{m{1: head}}, 2: 1}))
}

func list(items feed.Items) []any {
	out := []any{}
	for _, i := range items {
		out = append(out, []any{i.Change(), i.Raw()})
	}
	return out
}

// bomb is a small body that unpacks to size bytes.
func bomb(size int) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err)
	}
	zeros := make([]byte, 1<<20)
	for ; size > 0; size -= len(zeros) {
		if _, err := w.Write(zeros); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// TestBombs: what unpacks to more than a message may hold is not unpacked.
func TestBombs(t *testing.T) {
	for name, b := range map[string][]byte{
		"one frame": bomb(64 << 20), "many frames": bytes.Repeat(bomb(replication.MaxBody/2), 64), "just over": bomb(replication.MaxBody + 1<<20),
	} {
		var v any
		if err := replication.Decode(b, &v); !errors.Is(err, zstd.ErrDecoderSizeExceeded) || !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLiars sets a liar beside an honest peer that is slower to answer. Whatever
// it sends is refused and counted, never kept, and the honest peer is used.
func TestLiars(t *testing.T) {
	type truth struct {
		f     *feedtest.Federation
		a     *feedtest.Author
		env   []byte
		items feed.Items
		held  []byte
	}
	page := func(head []byte, items []any, next uint64, more bool) []byte {
		return wire(m{1: items, 2: next, 3: more, 4: head})
	}
	for _, c := range []struct {
		name string
		lie  func(truth) liar
		kind string // what is counted; "" when the lie is no more than silence
	}{
		{"another record", func(x truth) liar {
			bad := list(x.items)
			bad[0].([]any)[1] = feedtest.Record(x.items[0].Change().Key, 1, "forged")
			return liar{"all": showing(x.env), "feed": say(page(x.env, bad, 9, false))}
		}, "feed"},
		{"a record too few", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(page(x.env, list(x.items[1:]), 9, false))}
		}, ""},
		{"a record too few, and a tree of its own", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(page(x.env, list(x.items[1:]), 9, false)),
				"tree": say(wire(m{1: x.env, 2: feed.EmptyLeaves()[:]}))}
		}, "feed"},
		{"the true tree, other buckets", func(x truth) liar {
			other := x.f.Author("ben").Fill(0, 5, "forged")
			return liar{"all": showing(x.env), "tree": say(wire(m{1: x.env, 2: x.a.Leaves()[:]})),
				"feed": say(page(x.env, nil, 9, false)), "buckets": say(wire(m{1: []any{other.Live()}}))}
		}, "feed"},
		{"a tree of three leaves", func(x truth) liar {
			return liar{"all": showing(x.env), "tree": say(wire(m{1: x.env, 2: x.a.Leaves()[:3]})), "feed": say(page(x.env, nil, 9, false))}
		}, "feed"},
		{"pages without end", func(x truth) liar {
			n := uint64(0)
			return liar{"all": showing(x.env), "feed": func(*http.Request) []byte {
				author := x.f.Author("ben").Fill(int(n), int(n)+500, string(make([]byte, 1000)))
				n += 500
				_, items := author.Head(nil)
				return page(x.env, list(items), n+10, true)
			}}
		}, ""},
		{"a page that leads nowhere", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(page(x.env, list(x.items), 0, true))}
		}, "feed"},
		{"a forged head", func(x truth) liar {
			h, _ := feed.ParseHead(x.env)
			return liar{"all": showing(feedtest.SignHead(h.Head, feedtest.Key(identity.RolePublish, "stranger")))}
		}, "head"},
		{"another federation's head", func(x truth) liar {
			h, _ := feed.ParseHead(x.env)
			h.Federation[0] ^= 1
			return liar{"all": showing(feedtest.SignHead(h.Head, x.f.Member("ada").Publish))}
		}, "head"},
		{"one head shown, another served", func(x truth) liar {
			b := x.f.Author("ben").Fill(0, 5, "ben")
			env, items := b.Head(nil)
			return liar{"all": showing(x.env), "feed": say(page(env, list(items), 9, false))}
		}, "feed"},
		{"garbage", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say([]byte("not zstd at all"))}
		}, "feed"},
		{"garbage inside", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(wire("a text"))}
		}, "feed"},
		{"a body that is too long", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(make([]byte, replication.MaxSent+1))}
		}, "feed"},
		{"a bomb", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(bomb(256 << 20))}
		}, "feed"},
		{"many small bombs in one body", func(x truth) liar {
			return liar{"all": showing(x.env), "feed": say(bytes.Repeat(bomb(replication.MaxBody/2), 64))}
		}, "feed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(p *play) {
				a := p.f.Author("ada").Fill(0, 5, "one")
				first, firstItems := a.Head(nil)
				before := a.Clone()
				env, items := a.Put(feedtest.RecordKey(1), "two").Put(feedtest.RecordKey(2), "three").Head(nil)
				p.impostor("liar", c.lie(truth{p.f, a, env, items, first}))
				cyd := p.node("cyd")
				cyd.take(before, firstItems, first)
				p.within(2*time.Minute, "the lie was met", func() bool {
					return c.kind == "" && cyd.rep.Behind(a.Origin()) || cyd.rep.Refused()[c.kind] > 0
				})
				time.Sleep(30 * time.Second)
				feedtest.Same(t, cyd.store, before)
				if cyd.store.Staged(a.Origin()) != 0 {
					t.Error("what was refused still lies in the staging area")
				}
				ben := p.node("ben")
				ben.take(before, firstItems, first)
				ben.take(a, items, env)
				p.synced(15*time.Minute, a, cyd)
			})
		})
	}
}

// TestAnnouncedLies are pushed to the node, which never asked.
func TestAnnouncedLies(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		first, firstItems := a.Head(nil)
		before := a.Clone()
		cyd := p.node("cyd")
		cyd.take(before, firstItems, first)
		mallory := p.impostor("liar", liar{})
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		h, err := feed.ParseHead(env)
		if err != nil {
			t.Fatal(err)
		}
		forged := list(items)
		forged[0].([]any)[1] = feedtest.Record(items[0].Change().Key, 1, "forged")
		_, other := before.Clone().Put(feedtest.RecordKey(1), "other").Head(nil)
		for _, c := range []struct {
			name string
			body []byte
			kind string
		}{
			{"garbage", []byte("garbage"), "announcement"},
			{"a forged head", wire(m{1: feedtest.SignHead(h.Head, feedtest.Key(identity.RolePublish, "stranger"))}), "head"},
			{"a forged record", wire(m{1: env, 3: forged}), "record"},
			{"other records than the head's", wire(m{1: env, 3: list(other)}), "change"},
			{"a forged beat", wire(m{2: feedtest.SignBeat(a.Beat(3).Beat, feedtest.Key(identity.RolePublish, "stranger")).Envelope}), "beat"},
			{"two heads of one number", wire(m{1: equivocate(p.f, before)}), "equivocation"},
			{"too long", make([]byte, 1<<20), "announcement"},
		} {
			time.Sleep(30 * time.Second) // what the one before led to is over
			refused := cyd.rep.Refused()[c.kind]
			req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+cyd.id.String()+"/r1/announce", bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := mallory.client().Do(req)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			resp.Body.Close()
			if got := cyd.rep.Refused()[c.kind]; got <= refused {
				t.Errorf("%s: not counted as %s: %v", c.name, c.kind, cyd.rep.Refused())
			}
			feedtest.Same(t, cyd.store, before)
		}
		if b, _ := cyd.store.Beat(a.Origin()); b != nil {
			t.Error("a forged beat was kept")
		}
	})
}

// equivocate is a second head of the number that the author's newest has.
func equivocate(f *feedtest.Federation, a *feedtest.Author) []byte {
	h := a.View().Head().Head
	h.RegistrySeq = 1
	h.Issued--
	return feedtest.SignHead(h, f.Member("ada").Publish, f.Member("ada").Admin)
}

func FuzzDecode(f *testing.F) {
	fed := feedtest.NewFederation("ada")
	a := fed.Author("ada").Fill(0, 1, "x")
	env, items := a.Head(nil)
	for _, b := range replication.Samples(env, items[0].Raw(), items[0].Change()) {
		f.Add(b)
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\x24\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, _ := replication.DecodeEvery(b)
		for _, i := range items {
			if c := i.Change(); c.Live() && feed.HashRecord(i.Raw()) != c.Hash {
				t.Fatal("an item that does not prove itself")
			}
		}
	})
}
