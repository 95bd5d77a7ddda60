package replication_test

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
)

// ordeal is a victim with one hostile peer. The owner is in reach of neither
// until the end, when an honest peer comes.
type ordeal struct {
	*play
	begin   time.Time
	skipped atomic.Int64 // of the calendar
	victim  *node
	docket  *docket

	before *feedtest.Author // at head 1, which the victim holds
	after  *feedtest.Author // at head 2, which the owner published since
	env    [2][]byte
	items  [2]feed.Items
}

const victim = "cyd"

func newOrdeal(p *play, ahead bool) *ordeal {
	x := &ordeal{play: p, begin: time.Now(), docket: newDocket(p.f)}
	x.after = p.f.Author("ada").Fill(0, 8, "one")
	x.env[0], x.items[0] = x.after.Head(nil)
	x.before = x.after.Clone()
	x.env[1], x.items[1] = x.after.Put(feedtest.RecordKey(1), "two").Put(feedtest.RecordKey(9), "two").Delete(feedtest.RecordKey(2)).Head(nil)
	x.victim = p.node(victim, keeping(x.docket), func(o *replication.Options) {
		rules := o.Rules
		o.Rules = func() feed.Rules {
			r := rules()
			r.Now = x.now()
			return r
		}
	})
	x.holds(x.victim, ahead)
	return x
}

// now is the moment by the victim's clock.
func (x *ordeal) now() time.Time {
	return feedtest.Now.Add(time.Since(x.begin) + time.Duration(x.skipped.Load()))
}

// holds lets a node have what the owner published, and the owner's beat for it.
func (x *ordeal) holds(n *node, both bool) {
	n.take(x.before, x.items[0], x.env[0])
	a := x.before
	if both {
		n.take(x.after, x.items[1], x.env[1])
		a = x.after
	}
	x.beat(n, a)
}

func (x *ordeal) beat(n *node, a *feedtest.Author) {
	b := a.Clone().At(x.now()).Beat(uint64(x.now().Unix()))
	if err := n.store.PutBeat(b); err != nil {
		x.t.Fatal(err)
	}
}

// steal is an author at head 1 with the owner's publish key.
func (x *ordeal) steal() *feedtest.Author { return x.before.Clone() }

// shows is the state in which the victim shows the feed.
func (x *ordeal) shows() string {
	o := x.before.Origin()
	b, err := x.victim.store.Beat(o)
	if err != nil {
		x.t.Fatal(err)
	}
	switch {
	case x.victim.rep.Frozen(o):
		return "frozen"
	case x.victim.rep.Behind(o):
		return "behind"
	case b == nil || b.Expires.Time().Before(x.now()):
		return "unconfirmed"
	}
	return "synced"
}

// push sends the victim what it did not ask for.
func (x *ordeal) push(from *node, body any) {
	x.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+x.victim.id.String()+"/r1/announce", bytes.NewReader(wire(body)))
	if err != nil {
		x.t.Fatal(err)
	}
	resp, err := from.client().Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// met waits until the victim has asked the hostile peer for something.
func (x *ordeal) met(mallory *node, what string, times int) {
	x.t.Helper()
	x.within(10*time.Minute, "the victim asked for "+what, func() bool { return mallory.count(what) >= times })
}

// page is an answer to the question for the list of changes.
func pageOf(head []byte, items feed.Items, next uint64, more bool) []byte {
	return wire(m{1: list(items), 2: next, 3: more, 4: head})
}

// serving are the answers of a peer that has just these changes under this head.
func serving(a *feedtest.Author, env []byte, items feed.Items) liar {
	return liar{
		"all": showing(env), "feed": say(pageOf(env, items, a.View().Head().Seq, false)),
		"heads": say(wire(m{1: [][]byte{env}})), "tree": say(wire(m{1: env, 2: a.Leaves()[:]})),
	}
}

// begins lets the registry begin a new epoch, the owner publish in it, and an
// honest peer bring that.
func (x *ordeal) begins(a *feedtest.Author, good *feed.Place) *feedtest.Author {
	x.f.Bump("ada", good)
	x.docket.mu.Lock()
	clear(x.docket.forked) // the real docket answers for the present epoch only
	x.docket.mu.Unlock()
	return x.goesOn(a)
}

// goesOn lets the owner publish once more, and an honest peer bring that.
func (x *ordeal) goesOn(a *feedtest.Author) *feedtest.Author {
	a = a.Clone()
	env, _ := a.At(x.now()).Put(feedtest.RecordKey(30), "a new beginning").Head(nil)
	ben := x.node("ben")
	ben.take(a, whole(x.t, a), env)
	x.beat(ben, a)
	return a
}

// whole are all records of an author.
func whole(t *testing.T, a *feedtest.Author) (out feed.Items) {
	for _, c := range a.Live() {
		i, err := feed.Check(c, a.Raw(c.Key))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, i)
	}
	return out.Sort()
}

// honest brings a peer that has what the owner published.
func (x *ordeal) honest() *feedtest.Author {
	x.holds(x.node("ben"), true)
	return x.after
}

// threats are those that The Update Framework names in §1.5.2 of its
// specification, as far as they concern who copies data, and those beyond it
// that FEDERATION.md counts with them. In each row a hostile peer, with a node
// key that the registry knows and where the row says so with the owner's publish
// key, really does it.
var threats = []struct {
	name    string
	ahead   bool                           // the victim holds head 2 when it begins
	attack  func(*testing.T, *ordeal)      // returns when the victim has met it
	refused string                         // what the victim counts as refused; "" for nothing
	holds   func(*ordeal) *feedtest.Author // what it then holds; nil: what it held before
	shows   string                         // how it shows the feed then
	end     func(*ordeal) *feedtest.Author // who helps, and what the victim holds in the end; nil: an honest peer comes
}{
	{
		name: "arbitrary data, signed by a stranger", refused: "head", shows: "synced",
		attack: func(_ *testing.T, x *ordeal) {
			h := x.after.View().Head().Head
			forged := feedtest.SignHead(h, feedtest.Key(identity.RolePublish, "mallory"), feedtest.Key(identity.RoleAdmin, "mallory"))
			x.met(x.impostor("mallory", serving(x.after, forged, x.items[1])), "heads", 1)
		},
	},
	{
		name: "arbitrary data under the owner's head", refused: "feed", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			bad := list(x.items[1])
			bad[0].([]any)[1] = feedtest.Record(x.items[1][0].Change().Key, 1, "call this number instead")
			l := serving(x.after, x.env[1], nil)
			l["feed"] = say(wire(m{1: bad, 2: 11, 3: false, 4: x.env[1]}))
			x.met(x.impostor("mallory", l), "feed", 1)
		},
	},
	{
		name: "endless data", refused: "omission", shows: "behind",
		attack: func(t *testing.T, x *ordeal) {
			n := 0
			l := serving(x.after, x.env[1], nil)
			l["feed"] = func(*http.Request) []byte {
				_, items := x.f.Author("ben").Fill(n, n+500, string(make([]byte, 1000))).Head(nil)
				n += 500
				return pageOf(x.env[1], items, uint64(100+n), true)
			}
			mallory := x.impostor("mallory", l)
			x.within(10*time.Minute, "it was cut off", func() bool { return x.victim.rep.Refused()["omission"] > 0 })
			if pages := mallory.count("feed"); pages > 25 { // 10,000 records beyond what the head signs for, 8 MiB at most
				t.Errorf("%d pages of endless data were read", pages)
			}
		},
	},
	{
		name: "a bomb", refused: "feed", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			l := serving(x.after, x.env[1], nil)
			l["feed"] = say(bomb(1 << 30))
			x.met(x.impostor("mallory", l), "feed", 1)
		},
	},
	{
		name: "endless data under a signed head", refused: "quota", shows: "synced",
		attack: func(t *testing.T, x *ordeal) {
			thief := x.steal()
			env, items := thief.Put(feedtest.RecordKey(1), "stolen").Head(func(h *feed.Head) { h.Seq, h.Count, h.Bytes = 1<<40, 1<<40, 1<<50 })
			mallory := x.impostor("mallory", serving(thief, env, items))
			x.met(mallory, "heads", 1)
			time.Sleep(time.Minute)
			if n := mallory.count("feed") + mallory.count("tree"); n != 0 {
				t.Errorf("%d times something was fetched for it", n)
			}
		},
	},
	{
		name: "endless heads", refused: "burst", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			thief := x.steal()
			var chain [][]byte
			for range 200 {
				env, _ := thief.Put(feedtest.RecordKey(1), "stolen").Head(func(h *feed.Head) { h.Issued = feed.MinuteOf(feedtest.Now) })
				chain = append(chain, env)
			}
			last := chain[len(chain)-1]
			l := serving(thief, last, nil)
			item, err := feed.Check(thief.Live()[len(thief.Live())-1], thief.Raw(feedtest.RecordKey(1)))
			if err != nil {
				x.t.Fatal(err)
			}
			l["feed"] = say(pageOf(last, feed.Items{item}, 9999, false))
			l["heads"] = say(wire(m{1: chain}))
			x.met(x.impostor("mallory", l), "feed", 1)
		},
		end: func(x *ordeal) *feedtest.Author { return x.begins(x.after, nil) },
	},
	{
		name: "rollback", ahead: true, shows: "synced", holds: func(x *ordeal) *feedtest.Author { return x.after },
		attack: func(_ *testing.T, x *ordeal) {
			mallory := x.impostor("mallory", serving(x.before, x.env[0], x.items[0]))
			x.met(mallory, "heads", 1)
			x.push(mallory, m{1: x.env[0], 3: list(x.items[0])})
			x.push(mallory, m{2: x.before.Beat(1).Envelope})
		},
	},
	{
		name: "fast-forward by a hint", shows: "synced",
		attack: func(_ *testing.T, x *ordeal) {
			mallory := x.impostor("mallory", liar{"all": say(wire(m{1: []any{}, 2: 1})), "heads": say(wire(m{1: [][]byte{}}))})
			x.victim.rep.Heard(mallory.id, []replication.Mark{{Origin: x.before.Origin(), Epoch: 1, N: 1<<53 - 1}})
			x.met(mallory, "heads", 2)
			x.within(time.Minute, "the hint is dropped", func() bool { return !x.victim.rep.Behind(x.before.Origin()) })
		},
	},
	{
		// Nobody connects the head with what is held. The owner goes on from
		// there, and a new epoch ends the talk of a later head.
		name: "fast-forward with the stolen publish key", shows: "behind",
		attack: func(t *testing.T, x *ordeal) {
			thief := x.steal()
			env, items := thief.Put(feedtest.RecordKey(1), "stolen").Head(func(h *feed.Head) { h.N, h.Prev = 1<<53-1, identity.Hash{7} })
			mallory := x.impostor("mallory", serving(thief, env, items))
			x.met(mallory, "heads", 3)
			x.within(time.Minute, "the gap is known", func() bool { k, _ := x.victim.rep.Known(x.before.Origin()); return k.Gap })
		},
		end: func(x *ordeal) *feedtest.Author { return x.begins(x.after, nil) },
	},
	{
		name: "indefinite freeze", shows: "unconfirmed",
		attack: func(_ *testing.T, x *ordeal) {
			mallory := x.twisted("mallory", func(next http.Handler) http.Handler { return next })
			x.holds(mallory, false)
			time.Sleep(time.Hour)
			x.skipped.Store(int64(feed.BeatLife - 2*time.Hour))
			time.Sleep(2 * time.Hour)
		},
	},
	{
		name: "mix and match of two versions", refused: "feed", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			l := serving(x.before, x.env[1], x.items[0])
			l["buckets"] = say(wire(m{1: [][]feed.Change{x.before.Live()}}))
			x.met(x.impostor("mallory", l), "tree", 1)
		},
	},
	{
		name: "mix and match of two feeds", refused: "feed", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			other := x.f.Author("ben").Fill(0, 8, "ben")
			env, items := other.Head(nil)
			l := serving(other, env, items)
			l["all"] = showing(x.env[1])
			x.met(x.impostor("mallory", l), "feed", 1)
		},
	},
	{
		name: "a malicious mirror that refuses everything", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			x.met(x.impostor("mallory", liar{"all": showing(x.env[1])}), "feed", 3)
		},
	},
	{
		name: "a malicious mirror that takes its time", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			l := serving(x.after, x.env[1], nil)
			l["feed"] = func(r *http.Request) []byte { pause(r, time.Hour); return nil }
			x.met(x.impostor("mallory", l), "feed", 1)
		},
	},
	{
		// Of whom the publish key was stolen, the admin key was not: nobody changes
		// a whole country with it.
		name: "key compromise: much at once", refused: "unapproved", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			thief := x.steal().Fill(0, 30, "stolen")
			env, items := thief.Head(nil, x.f.Member("ada").Publish)
			x.met(x.impostor("mallory", serving(thief, env, items)), "feed", 1)
		},
		end: func(x *ordeal) *feedtest.Author { place := place(x.before); return x.begins(x.before, &place) },
	},
	{
		// A few listings can be changed with it until the registry says how far the
		// key was good: then all of that is taken back, and no more of it comes.
		name: "key compromise: little by little", refused: "revoked", shows: "synced",
		attack: func(t *testing.T, x *ordeal) {
			thief := x.steal().Put(feedtest.RecordKey(1), "stolen").Delete(feedtest.RecordKey(3))
			env, items := thief.Head(nil)
			mallory := x.impostor("mallory", serving(thief, env, items))
			x.within(10*time.Minute, "the victim believes it", func() bool { return x.victim.n(thief) == 2 })
			more, moreItems := thief.Put(feedtest.RecordKey(1), "and again").Head(nil)
			good := place(x.before)
			x.f.Bump("ada", &good)
			x.within(2*time.Minute, "the victim goes back", func() bool { return x.victim.n(thief) == 1 })
			x.push(mallory, m{1: more, 3: list(moreItems)})
		},
		end: func(x *ordeal) *feedtest.Author { return x.goesOn(x.before) },
	},
	{
		name: "omission of a record", refused: "omission", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			l := serving(x.after, x.env[1], x.items[1][1:])
			delete(l, "tree")
			x.met(x.impostor("mallory", l), "tree", 1)
		},
	},
	{
		name: "omission of a deletion", refused: "omission", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			var kept feed.Items
			for _, i := range x.items[1] {
				if i.Change().Live() {
					kept = append(kept, i)
				}
			}
			l := serving(x.after, x.env[1], kept)
			delete(l, "tree")
			x.met(x.impostor("mallory", l), "tree", 1)
		},
	},
	{
		name: "omission of the whole feed", shows: "synced",
		attack: func(_ *testing.T, x *ordeal) {
			x.met(x.impostor("mallory", liar{"all": say(wire(m{1: []any{}, 2: 1}))}), "heads", 1)
		},
	},
	{
		// Both heads are rightly signed. The feed stays where it was, the two heads
		// are evidence that anybody can check, and a new epoch ends it.
		name: "equivocation", refused: "equivocation", shows: "frozen",
		attack: func(t *testing.T, x *ordeal) {
			other := x.steal()
			env, _ := other.Put(feedtest.RecordKey(1), "another two").Head(nil)
			mallory := x.impostor("mallory", liar{"all": showing(x.env[1])})
			x.met(mallory, "heads", 1)
			x.push(mallory, m{1: env})
			if x.docket.len() != 1 {
				t.Error("no evidence was kept")
			}
			x.holds(x.node("dan"), true) // who came to know of one only
			time.Sleep(10 * time.Minute)
		},
		end: func(x *ordeal) *feedtest.Author { return x.begins(x.after, nil) },
	},
	{
		name: "equivocation against what the registry has on record", refused: "anchor", shows: "behind",
		attack: func(_ *testing.T, x *ordeal) {
			x.f.SetAnchor("ada", place(x.after))
			other := x.steal()
			env, items := other.Put(feedtest.RecordKey(1), "another two").Head(nil)
			x.met(x.impostor("mallory", serving(other, env, items)), "heads", 1)
			time.Sleep(2 * time.Minute)
		},
		// Nobody is led astray. But whoever has both heads can prove that somebody
		// else signs with the owner's key, and that holds the feed up until its owner
		// has dealt with it; what is on record comes through.
		end: func(x *ordeal) *feedtest.Author {
			x.holds(x.node("dan"), true)
			x.synced(15*time.Minute, x.after, x.victim)
			x.within(15*time.Minute, "the feed is frozen", func() bool { return x.shows() == "frozen" })
			return x.begins(x.after, nil)
		},
	},
}

// TestThreats: the victim is never taken further than the owner's own heads, it
// says how it stands, and the first honest peer in reach ends it.
func TestThreats(t *testing.T) {
	for _, c := range threats {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(p *play) {
				x := newOrdeal(p, c.ahead)
				c.attack(t, x)
				p.within(time.Minute, "what was wrong is counted", func() bool { return c.refused == "" || x.victim.rep.Refused()[c.refused] > 0 })
				if c.refused == "" && len(x.victim.rep.Refused()) > 0 {
					t.Errorf("refused %v", x.victim.rep.Refused())
				}
				held := x.before
				if c.holds != nil {
					held = c.holds(x)
				}
				feedtest.Same(t, x.victim.store, held)
				if got := x.shows(); got != c.shows {
					t.Errorf("shown as %s, want %s", got, c.shows)
				}
				t.Logf("refused %v, shown as %s", x.victim.rep.Refused(), c.shows)

				end := x.after
				if c.end != nil {
					end = c.end(x)
				} else {
					x.honest()
				}
				took := p.synced(15*time.Minute, end, x.victim)
				p.within(6*time.Minute, "all is well again", func() bool { return x.shows() == "synced" })
				t.Logf("ended %s after help came", took)
			})
		})
	}
}

// TestNewcomerIsShownThePast: the first peer that a new node meets shows it an
// old state. It takes it, and knows from the registry that it is old.
func TestNewcomerIsShownThePast(t *testing.T) {
	scene(t, func(p *play) {
		x := newOrdeal(p, false)
		x.victim.stop()
		p.f.SetAnchor("ada", place(x.after))
		p.impostor("mallory", serving(x.before, x.env[0], x.items[0]))
		dan := p.node("dan")
		p.within(5*time.Minute, "the past is there, and known to be that", func() bool {
			return dan.n(x.before) == 1 && dan.rep.Behind(x.before.Origin())
		})
		x.honest()
		p.synced(15*time.Minute, x.after, dan)
		p.within(2*time.Minute, "it is the present now", func() bool { return !dan.rep.Behind(x.before.Origin()) })
	})
}
