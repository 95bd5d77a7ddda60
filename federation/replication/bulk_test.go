package replication_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/federation/transport"
)

// bulk is a store for one large first copy. Of what is staged it keeps the
// changes, 88 bytes each, and leaves the records out, as if they were on disk.
type bulk struct {
	*feedtest.Memory
	put func() // told of each batch; may be nil

	mu      sync.Mutex
	changes []feed.Change
	done    chan *feed.Verified
}

func newBulk(records int) *bulk {
	return &bulk{Memory: feedtest.NewMemory(), changes: make([]feed.Change, 0, records), done: make(chan *feed.Verified, 1)}
}

func (b *bulk) Stage(identity.OriginID) (feed.Staging, error) { return (*bulkStaging)(b), nil }

func (b *bulk) Append(_ context.Context, v *feed.Verified) error {
	b.done <- v
	return nil
}

type bulkStaging bulk

func (s *bulkStaging) Put(items ...feed.Item) error {
	s.mu.Lock()
	for _, i := range items {
		s.changes = append(s.changes, i.Change())
	}
	s.mu.Unlock()
	if s.put != nil {
		s.put()
	}
	return nil
}

func (s *bulkStaging) Discard() error { return nil }

func (s *bulkStaging) Changes(yield func(feed.Change, error) bool) {
	s.mu.Lock()
	slices.SortFunc(s.changes, func(a, b feed.Change) int {
		return cmp.Or(cmp.Compare(a.Key.Bucket(), b.Key.Bucket()), bytes.Compare(a.Key[:], b.Key[:]))
	})
	all := s.changes
	s.mu.Unlock()
	for _, c := range all {
		if !yield(c, nil) {
			return
		}
	}
}

// prose is text of about the given length that compresses as text does.
func prose(n, seed int) string {
	words := []string{"support", "for", "people", "who", "worry", "about", "their", "thoughts", "free", "of", "charge", "by", "telephone", "and", "online", "in", "confidence", "on", "weekdays", "from"}
	var out bytes.Buffer
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for out.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out.WriteString(words[x%uint64(len(words))])
		if x%7 == 0 {
			out.WriteString(strconv.Itoa(int(x % 99991)))
		}
		out.WriteByte(' ')
	}
	return out.String()
}

// large is a feed of many records, and a server of its list of changes.
func large(f *feedtest.Federation, records int) (*feedtest.Author, http.Handler) {
	a := f.Author("ada")
	for i := range records {
		var key feed.Key
		binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
		a.Put(key, prose(1000, i))
	}
	env, items := a.Head(nil)
	slices.SortFunc(items, func(a, b feed.Item) int { return cmp.Compare(a.Change().Seq, b.Change().Seq) })
	encode := replication.Encoder()
	return a, liar{"all": showing(env), "heads": say(wire(m{1: [][]byte{}})), "feed": func(r *http.Request) []byte {
		since, err := strconv.Atoi(r.URL.Query().Get("since"))
		if err != nil {
			return nil
		}
		to := min(since+700, len(items))
		b, err := encode(m{1: list(items[since:to]), 2: to, 3: to < len(items), 4: env})
		if err != nil {
			panic(err)
		}
		return b
	}}
}

// firstCopyMemory is what a first copy may need beyond what its store needs,
// however large the feed is: two pages as they come and are unpacked, the batch
// that is collected for the store, and the connection.
const firstCopyMemory = 16 << 20

// TestFirstCopyMemory copies feeds of different sizes and looks at the heap all
// the while.
func TestFirstCopyMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("several seconds")
	}
	for _, records := range []int{10_000, 100_000} {
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			scene(t, func(p *play) {
				a, server := large(p.f, records)
				store := newBulk(records)
				var base, peak uint64
				puts := 0
				store.put = func() {
					if puts++; puts%(records/2500) == 0 {
						peak = max(peak, heap())
					}
				}
				base = heap()
				p.impostor("ada", server)
				p.node("ben", func(o *replication.Options) { o.Store, o.Appender = store, store })
				v := <-store.done
				if v.Head().Count != uint64(records) {
					t.Errorf("%d records", v.Head().Count)
				}
				t.Logf("%.1f MiB at most above the start", float64(peak-base)/(1<<20))
				if peak-base > firstCopyMemory {
					t.Errorf("%d bytes, at most %d", peak-base, firstCopyMemory)
				}
				runtime.KeepAlive(a)
			})
		})
	}
}

// heap is what is in use after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// real is a federation over real connections on loopback.
type real struct {
	f     *feedtest.Federation
	mu    sync.Mutex
	peers map[identity.NodeID]transport.Peer
	wire  atomic.Uint64 // bytes in both directions, TLS and HTTP included
}

// Peer implements [transport.Directory].
func (x *real) Peer(id identity.NodeID) (transport.Peer, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p, ok := x.peers[id]
	return p, ok
}

type counted struct {
	net.Conn
	n *atomic.Uint64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(uint64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(uint64(n))
	return n, err
}

// start runs a node with this store until the benchmark ends.
func (x *real) start(b *testing.B, host string, store feed.Store, appender feed.Appender) *replication.Replicator {
	b.Helper()
	key := feedtest.Key(identity.RoleNode, host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var dialer net.Dialer
	tr, err := transport.New(transport.Options{Key: key, Listener: l, Directory: x, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return counted{c, &x.wire}, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	self := key.Public().NodeID()
	rep, err := replication.New(replication.Options{
		Own: x.f.Member(host).Origin, Store: store, Appender: appender, Rules: x.f.Rules, RegistrySeq: func() uint64 { return 1 },
		Client: tr.Client(), Peers: func() (out []identity.NodeID) {
			x.mu.Lock()
			defer x.mu.Unlock()
			for id := range x.peers {
				if id != self {
					out = append(out, id)
				}
			}
			return out
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	tr.ServeHTTP(rep.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = tr.Run(ctx) })
	x.mu.Lock()
	x.peers[self] = transport.Peer{ID: self, Key: key.Public(), Endpoints: []string{l.Addr().String()}}
	x.mu.Unlock()
	wg.Go(func() { _ = rep.Run(ctx) })
	b.Cleanup(func() { cancel(); wg.Wait() })
	return rep
}

// told is a store that tells when something was applied.
type told struct {
	*feedtest.Memory
	applied chan uint64
}

func (s told) Append(ctx context.Context, v *feed.Verified) error {
	err := s.Memory.Append(ctx, v)
	if err == nil {
		s.applied <- v.Head().N
	}
	return err
}

// BenchmarkPublish is one change of one listing until 13 other nodes show it, all
// in one process over real TLS on loopback. The goal is 40 ms and 40 kB.
func BenchmarkPublish(b *testing.B) {
	names := make([]string, 14)
	for i := range names {
		names[i] = fmt.Sprintf("m%02d", i)
	}
	x := &real{f: feedtest.NewFederation(names...), peers: make(map[identity.NodeID]transport.Peer)}
	applied := make(chan uint64, 1024)
	owner := feedtest.NewMemory()
	reps := []*replication.Replicator{x.start(b, names[0], owner, owner)}
	for _, name := range names[1:] {
		store := told{feedtest.NewMemory(), applied}
		reps = append(reps, x.start(b, name, store, store))
	}
	for _, r := range reps {
		<-r.Met()
	}
	a := x.f.Author(names[0]).Fill(0, 500, prose(1200, 1))
	at := feedtest.Now.Add(-24 * 365 * time.Hour)
	publish := func() (took time.Duration) {
		at = at.Add(24 * time.Hour / 10) // so that there is nothing to approve
		env, items := a.At(at).Head(nil)
		view, err := owner.View(a.Origin())
		if err != nil {
			b.Fatal(err)
		}
		v, err := x.f.Rules().Verify(view, [][]byte{env}, items)
		if err == nil {
			err = owner.Append(context.Background(), v)
		}
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		go reps[0].Announce(context.Background(), v)
		for range names[1:] {
			<-applied
		}
		return time.Since(start)
	}
	publish()
	var all []time.Duration
	sent := x.wire.Load()
	for i := 0; b.Loop(); i++ {
		a.Put(feedtest.RecordKey(i%500), prose(1200, i))
		all = append(all, publish())
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(x.wire.Load()-sent)/float64(len(all))/1000, "kB/publish")
}

// listed is a store that lists the changes of its one feed without looking for
// them first, as one with an index does.
type listed struct {
	*feedtest.Memory
	items feed.Items // by their numbers
}

func (l listed) View(o identity.OriginID) (feed.StoreView, error) {
	v, err := l.Memory.View(o)
	return listedView{v, l.items}, err
}

type listedView struct {
	feed.StoreView
	items feed.Items
}

func (v listedView) Since(seq uint64, _ bool, yield func(feed.Change, []byte) bool) error {
	for _, i := range v.items[min(int(seq), len(v.items)):] {
		if !yield(i.Change(), i.Raw()) {
			break
		}
	}
	return nil
}

// BenchmarkFirstCopy is a first copy of 100,000 records of 1.1 kB over real TLS on
// loopback, checked, into a store that keeps no records.
func BenchmarkFirstCopy(b *testing.B) {
	f := feedtest.NewFederation("ada", "ben")
	const records = 100_000
	source := newBulk(0)
	a := f.Author("ada")
	for i := range records {
		a.Put(feedtest.RecordKey(i), prose(1000, i))
	}
	env, items := a.Head(nil)
	view, err := source.View(a.Origin())
	if err != nil {
		b.Fatal(err)
	}
	v, err := f.Rules().Verify(view, [][]byte{env}, items)
	if err == nil {
		err = source.Memory.Append(context.Background(), v)
	}
	if err != nil {
		b.Fatal(err)
	}
	list := listed{source.Memory, slices.Clone(items)}
	slices.SortFunc(list.items, func(a, b feed.Item) int { return cmp.Compare(a.Change().Seq, b.Change().Seq) })
	for b.Loop() {
		b.StopTimer()
		x := &real{f: f, peers: make(map[identity.NodeID]transport.Peer)}
		x.start(b, "ada", list, list)
		store := newBulk(records)
		b.StartTimer()
		x.start(b, "ben", store, store)
		<-store.done
		b.ReportMetric(float64(x.wire.Load())/(1<<20), "MiB/copy")
	}
}
