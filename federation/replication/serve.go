package replication

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// Handler serves the feeds that are held to peers. It expects requests whose
// peer was authenticated by package transport.
func (r *Replicator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r1/heads", r.serveHeads)
	mux.HandleFunc("GET /r1/o/{origin}/heads", r.limited(r.serveChain))
	mux.HandleFunc("GET /r1/o/{origin}/feed", r.limited(r.serveFeed))
	mux.HandleFunc("GET /r1/o/{origin}/tree", r.limited(r.serveTree))
	mux.HandleFunc("POST /r1/o/{origin}/buckets", r.limited(r.serveBuckets))
	mux.HandleFunc("POST /r1/o/{origin}/records", r.limited(r.serveRecords))
	mux.HandleFunc("GET /r1/docket", r.serveDocket)
	mux.HandleFunc("POST /r1/announce", r.serveAnnounce)
	return mux
}

// limited keeps one greedy peer from starving the others, opens the view of the
// feed that the path names, and holds own heads back until they are guarded.
func (r *Replicator) limited(f func(http.ResponseWriter, *http.Request, feed.StoreView)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		peer, ok := transport.PeerOf(req.Context())
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		origin, err := identity.ParseOriginID(req.PathValue("origin"))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if !r.serving.enter(req.Context(), peer) {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		defer r.serving.leave(peer)
		if !strings.HasSuffix(req.URL.Path, "/heads") && r.Rotten(origin) != nil {
			w.WriteHeader(http.StatusServiceUnavailable) // others have it whole
			return
		}
		view, err := r.open(origin)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer view.Close()
		if view.Head() == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		f(w, req, view)
	}
}

// open views a feed at a moment when its head may be seen.
func (r *Replicator) open(o identity.OriginID) (view feed.StoreView, err error) {
	if o == r.o.Own && r.o.Shared != nil {
		r.o.Shared(func() { view, err = r.o.Store.View(o) })
		return view, err
	}
	return r.o.Store.View(o)
}

func (r *Replicator) reply(w http.ResponseWriter, req *http.Request, v any) {
	b, err := r.codec.encode(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.traffic.serve(req.URL.Path, 1, len(b), 0)
	if peer, ok := transport.PeerOf(req.Context()); ok {
		r.serving.sent(peer, len(b))
	}
	w.Header().Set("Content-Type", "application/cbor+zstd")
	_, _ = w.Write(b) // a peer that went away asks again
}

func (r *Replicator) serveHeads(w http.ResponseWriter, req *http.Request) {
	states, err := r.states()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.reply(w, req, heads{Feeds: states, RegistrySeq: r.o.RegistrySeq(), Docket: r.digest(), Clock: r.o.Now().Unix()})
}

// states lists what is held, at most maxFeeds feeds.
func (r *Replicator) states() ([]feedState, error) {
	origins, err := r.o.Store.Origins()
	if err != nil {
		return nil, err
	}
	var out []feedState
	for _, o := range origins[:min(len(origins), maxFeeds)] {
		view, err := r.open(o)
		if err != nil {
			return nil, err
		}
		st := feedState{}
		if h := view.Head(); h != nil {
			st.Head = h.Envelope
		}
		view.Close()
		if b, err := r.o.Store.Beat(o); err == nil && b != nil {
			st.Beat = b.Envelope
		}
		out = append(out, st)
	}
	return out, nil
}

func number(req *http.Request, name string) uint64 {
	n, err := strconv.ParseUint(req.URL.Query().Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (r *Replicator) serveChain(w http.ResponseWriter, req *http.Request, view feed.StoreView) {
	list, err := view.Heads(number(req, "from"), maxChain)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.reply(w, req, chain{Heads: list})
}

func (r *Replicator) serveFeed(w http.ResponseWriter, req *http.Request, view feed.StoreView) {
	p := page{Head: view.Head().Envelope, Next: view.Head().Seq}
	since, size := number(req, "since"), 0
	live := req.URL.Query().Get("live") == "1"
	err := view.Since(since, live, func(c feed.Change, record []byte) bool {
		if size >= pageBytes && c.Seq != p.Next { // never cut between changes of one number
			p.More = true
			return false
		}
		size += len(record) + 64
		p.Items = append(p.Items, item{Change: c, Record: record})
		p.Next = c.Seq
		return true
	})
	switch {
	case errors.Is(err, feed.ErrPruned):
		w.WriteHeader(http.StatusGone)
	case errors.Is(err, feed.ErrDamaged):
		r.Rots(view.Head().Origin, err)
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
	default:
		if !p.More {
			p.Next = view.Head().Seq
		}
		r.reply(w, req, p)
	}
}

func (r *Replicator) serveTree(w http.ResponseWriter, req *http.Request, view feed.StoreView) {
	leaves, err := view.Leaves()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.reply(w, req, tree{Head: view.Head().Envelope, Leaves: leaves[:]})
}

// readAsked decodes a list of questions from a request's body.
func readAsked[T any](r *Replicator, w http.ResponseWriter, req *http.Request, limit int) ([]T, bool) {
	var asked []T
	b, err := readBody(req.Body, 256<<10)
	r.traffic.serve(req.URL.Path, 0, 0, len(b))
	if err == nil {
		err = r.codec.decode(b, &asked)
	}
	if err != nil || len(asked) == 0 || len(asked) > limit {
		w.WriteHeader(http.StatusBadRequest)
		return nil, false
	}
	return asked, true
}

func (r *Replicator) serveBuckets(w http.ResponseWriter, req *http.Request, view feed.StoreView) {
	asked, ok := readAsked[uint16](r, w, req, maxBuckets)
	if !ok {
		return
	}
	out := buckets{Head: view.Head().Hash}
	size := 0
	for _, q := range asked {
		if size >= pageBytes {
			break // the asker comes again for the rest
		}
		list, err := view.Bucket(int(q) % feed.Buckets)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		size += len(list) * 72
		out.Lists = append(out.Lists, list)
	}
	r.reply(w, req, out)
}

func (r *Replicator) serveRecords(w http.ResponseWriter, req *http.Request, view feed.StoreView) {
	asked, ok := readAsked[feed.Change](r, w, req, maxAsked)
	if !ok {
		return
	}
	var out records
	size := 0
	for _, c := range asked {
		if size >= pageBytes {
			break
		}
		held, record, err := view.Record(c.Key)
		if errors.Is(err, feed.ErrDamaged) {
			r.Rots(view.Head().Origin, err)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if err != nil || held.Hash != c.Hash {
			record = nil // replaced meanwhile: the asker starts over
		}
		size += len(record) + 16
		out.Records = append(out.Records, record)
	}
	r.reply(w, req, out)
}

func (r *Replicator) serveAnnounce(w http.ResponseWriter, req *http.Request) {
	peer, ok := transport.PeerOf(req.Context())
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if !r.serving.announced(peer) {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	var a announcement
	b, err := readBody(req.Body, maxAnnouncement)
	r.traffic.serve(req.URL.Path, 1, 0, len(b))
	if err != nil && !errors.Is(err, feed.ErrTooLarge) {
		w.WriteHeader(http.StatusBadRequest) // it broke off, which is nobody's fault
		return
	}
	if err == nil {
		err = r.codec.decode(b, &a)
	}
	if err != nil {
		r.refuse(peer, "announcement", err)
		r.fault(peer)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.hear(req.Context(), peer, a)
	r.reached(peer) // then, since what is wanted is looked for again, which would keep a change that came along waiting
	w.WriteHeader(http.StatusNoContent)
}
