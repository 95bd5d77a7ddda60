package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Limits of the registry's HTTP messages.
const (
	pageEntries = 512
	pageBytes   = 1 << 20 // of entries; the last one may pass it
	maxPage     = pageBytes + registry.MaxEntry + registry.MaxHead + 16<<10
	pageHeads   = 16
	maxHeadPage = pageHeads*registry.MaxHead + 1<<10
	maxAnswer   = 64 << 10
)

// page is the answer to GET /r1/registry.
type page struct {
	Entries [][]byte `cbor:"1,keyasint"`
	Last    uint64   `cbor:"2,keyasint"` // the last entry that the sender has
	Head    []byte   `cbor:"3,keyasint"` // the newest head of the registry; empty: none
}

// headPage is the answer to GET /r1/registry/heads.
type headPage struct {
	Heads [][]byte `cbor:"1,keyasint"` // by which the voters changed
}

// answer is the answer to GET /r1/registry/status.
type answer struct {
	Last    uint64            `cbor:"1,keyasint"` // raft: the last entry in the log
	Seq     uint64            `cbor:"2,keyasint"`
	Hash    identity.Hash     `cbor:"3,keyasint"` // after entry At
	At      uint64            `cbor:"4,keyasint"` // as asked for, if the sender has it, else Seq
	Leader  identity.NodeID   `cbor:"5,keyasint"`
	Voters  []identity.NodeID `cbor:"6,keyasint"`
	Quorum  bool              `cbor:"7,keyasint"`
	Voting  bool              `cbor:"8,keyasint"`
	Server  string            `cbor:"9,keyasint"`  // raft: the sender's name; empty when raft does not run there
	Version uint64            `cbor:"10,keyasint"` // of the registry's rules
	Head    []byte            `cbor:"11,keyasint"` // the newest head of the registry; empty: none
	Now     int64             `cbor:"12,keyasint"` // the sender's clock, Unix seconds
}

// verdict is the answer to POST /r1/registry/propose.
type verdict struct {
	Seq  uint64 `cbor:"1,keyasint,omitempty"`
	Code string `cbor:"2,keyasint,omitempty"` // see refusals; "not_leader", "unknown"
	Text string `cbor:"3,keyasint,omitempty"`
}

const media = "application/cbor"

// Handler serves the registry to other nodes:
//
//	GET  /r1/registry?from=&max=    entries from a number on, zstd if accepted
//	GET  /r1/registry/status?at=    how far this node is, and who leads
//	GET  /r1/registry/heads?from=   the heads by which the voters changed, from a rotation on
//	GET  /r1/registry/agreed        the last entry that a majority has agreed on, from the leader
//	POST /r1/registry/propose       a signed command, for the leader; with ?relay=1 also for who knows it
//	POST /r1/registry/sign          the body of a head, for a voter to sign
//	POST /r1/registry/head          a signed head
//	POST /r1/registry/recover       a recovery, for its first voter
func (k *Keeper) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r1/registry", k.servePage)
	mux.HandleFunc("GET /r1/registry/status", k.serveStatus)
	mux.HandleFunc("GET /r1/registry/heads", k.serveHeads)
	mux.HandleFunc("GET /r1/registry/agreed", k.serveAgreed)
	mux.HandleFunc("POST /r1/registry/propose", k.servePropose)
	mux.HandleFunc("POST /r1/registry/sign", k.serveSign)
	mux.HandleFunc("POST /r1/registry/head", k.serveHead)
	mux.HandleFunc("POST /r1/registry/recover", k.serveRecover)
	return mux
}

func number(r *http.Request, name string, otherwise uint64) (uint64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number", name)
	}
	return n, nil
}

func (k *Keeper) servePage(w http.ResponseWriter, r *http.Request) {
	from, err := number(r, "from", 1)
	most, err2 := number(r, "max", pageEntries)
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	k.awaitHead(r.Context(), from)
	var p page
	if h, ok := k.Head(); ok {
		p.Head = h.Envelope
	}
	if p.Last, err = k.Chain.Last(); err == nil {
		p.Entries, err = k.Chain.Entries(max(from, 1), int(min(most, pageEntries)))
	}
	if err != nil {
		http.Error(w, "the registry cannot be read here", http.StatusInternalServerError)
		k.Logger.Error("the registry cannot be read", "error", err)
		return
	}
	size := 0
	for i, e := range p.Entries {
		if size += len(e); size > pageBytes {
			p.Entries = p.Entries[:i+1]
			break
		}
	}
	body, err := identity.Marshal(p)
	if err != nil {
		http.Error(w, "the registry cannot be sent", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", media)
	if r.Header.Get("Accept-Encoding") == "zstd" && len(body) > 1024 {
		w.Header().Set("Content-Encoding", "zstd")
		body = k.compress.EncodeAll(body, nil)
	}
	_, _ = w.Write(body)
}

func (k *Keeper) serveStatus(w http.ResponseWriter, r *http.Request) {
	at, err := number(r, "at", 0)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	st := k.Status()
	a := answer{Leader: st.Leader, Voters: st.Voters, Quorum: st.Quorum, Voting: st.Voting, Version: registry.Rules, Now: k.Now().Unix()}
	if s := k.State(); s != nil {
		a.Seq, a.At, a.Hash = s.Seq(), s.Seq(), s.Hash()
		if h, ok := k.ledger.hashAt(at); ok {
			a.At, a.Hash = at, h
		}
	}
	if h, ok := k.Head(); ok {
		a.Head = h.Envelope
	}
	if v := k.current(); v != nil {
		a.Server, a.Last = string(v.id), v.raft.LastIndex()
	}
	reply(w, a)
}

// awaitHead waits a moment for the head that covers an entry from the given one
// on, when it can be under way: the voters sign within a round trip. Who asks
// need not ask again then.
func (k *Keeper) awaitHead(ctx context.Context, from uint64) {
	timeout := time.After(holdTime)
	for {
		taken := k.heads.wait()
		s, h := k.State(), k.heads.chain().Newest()
		if s == nil || from > s.Seq() || h != nil && h.Seq >= from || !k.ledger.fresh(holdTime) {
			return
		}
		select {
		case <-taken:
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (k *Keeper) serveHeads(w http.ResponseWriter, r *http.Request) {
	from, err := number(r, "from", 1)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var p headPage
	list := k.heads.chain().Rotations()
	for i, h := range list {
		// What a recovery goes on from comes with the recovery.
		both := i+1 < len(list) && list[i+1].Recovery != nil
		if len(p.Heads) == pageHeads || both && len(p.Heads) == pageHeads-1 {
			break
		}
		if h.Rotation >= from {
			p.Heads = append(p.Heads, h.Envelope)
		}
	}
	reply(w, p)
}

func (k *Keeper) servePropose(w http.ResponseWriter, r *http.Request) {
	command, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registry.MaxCommand))
	if err != nil {
		http.Error(w, "a command has at most 64 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	seq, err := k.proposeHere(r.Context(), command)
	if leader := k.Status().Leader; errors.Is(err, errNotLeader) && r.URL.Query().Get("relay") != "" && !leader.IsZero() && leader != k.id {
		seq, err = k.forward(r.Context(), leader, "/propose", command, new(atomic.Bool))
	}
	v := verdict{Seq: seq}
	switch {
	case err == nil:
	case errors.Is(err, ErrOutcomeUnknown):
		v.Code, v.Text = "unknown", err.Error()
	case final(err):
		v.Code, v.Text = code(err), err.Error()
	default:
		v.Code, v.Text = "not_leader", err.Error()
	}
	reply(w, v)
}

func reply(w http.ResponseWriter, v any) {
	b, err := identity.Marshal(v)
	if err != nil {
		http.Error(w, "cannot be sent", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(b)
}

// ask asks a node how far it is. With at, it tells the hash of that entry.
func (k *Keeper) ask(ctx context.Context, id identity.NodeID, at uint64) (answer, error) {
	var a answer
	err := k.call(ctx, http.MethodGet, id, fmt.Sprintf("/status?at=%d", at), nil, maxAnswer, &a)
	if err == nil && len(a.Voters) > 64 {
		err = fmt.Errorf("%w: %d voters", registry.ErrMalformed, len(a.Voters))
	}
	return a, err
}

// forward hands a command to the leader, or to a voter that reaches it. One that
// could not be called in a moment has not had it; handed tells when it may have.
func (k *Keeper) forward(ctx context.Context, to identity.NodeID, path string, command []byte, handed *atomic.Bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var v verdict
	var sent atomic.Bool // a command that never left has a known outcome
	calling := time.AfterFunc(lookTime, func() {
		if !sent.Load() {
			cancel()
		}
	})
	defer calling.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true); handed.Store(true) }})
	if err := k.call(ctx, http.MethodPost, to, path, command, maxAnswer, &v); err != nil {
		k.forget(to)
		if !sent.Load() {
			return 0, errNotLeader
		}
		return 0, fmt.Errorf("%w: hand the command to %s: %w", ErrOutcomeUnknown, to, err)
	}
	kind, known := refusals[v.Code]
	switch {
	case v.Code == "" && v.Seq > 0:
		return v.Seq, nil
	case known:
		return 0, refused{kind, v.Text}
	case v.Code == "unknown":
		return 0, fmt.Errorf("%w: %s", ErrOutcomeUnknown, v.Text)
	}
	k.forget(to)
	return 0, errNotLeader
}

// call speaks to a node's handler.
func (k *Keeper) call(ctx context.Context, method string, id identity.NodeID, path string, body []byte, most int64, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+id.String()+"/r1/registry"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "zstd")
	res, err := k.Network.Client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("node %s answers %s", id, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return err
	}
	if int64(len(b)) > most {
		return fmt.Errorf("%w: an answer of more than %d bytes", registry.ErrMalformed, most)
	}
	if res.Header.Get("Content-Encoding") == "zstd" {
		if b, err = k.decompress.DecodeAll(b, nil); err != nil {
			return fmt.Errorf("%w: %v", registry.ErrMalformed, err)
		}
	}
	return identity.Unmarshal(b, into)
}
