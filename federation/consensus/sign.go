package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/transport"
)

// lookAgain is how often a voter that is about to sign looks whether raft has
// brought what it lacks.
const lookAgain = 20 * time.Millisecond

// signature is the answer to POST /r1/registry/sign.
type signature struct {
	Signature identity.Signature  `cbor:"1,keyasint"`
	Code      string              `cbor:"2,keyasint,omitempty"` // why there is none; empty when there is
	Text      string              `cbor:"3,keyasint,omitempty"`
	Head      []byte              `cbor:"4,keyasint,omitempty"` // code "held": the newer head that is held
	Feeds     []identity.OriginID `cbor:"5,keyasint,omitempty"` // code "feeds": these are known otherwise
}

// objection is why a voter does not sign.
type objection struct {
	code, text string
	head       []byte
	feeds      []identity.OriginID
}

func (o *objection) Error() string { return o.text }

func object(code, format string, args ...any) error {
	return &objection{code: code, text: fmt.Sprintf(format, args...)}
}

// askSign asks a voter to sign the body of a head.
func (k *Keeper) askSign(ctx context.Context, id identity.NodeID, body []byte) (signature, error) {
	var a signature
	err := k.call(ctx, http.MethodPost, id, "/sign", body, maxAnswer, &a)
	if err == nil && len(a.Feeds) > registry.MaxFeeds {
		err = fmt.Errorf("%w: %d feeds", registry.ErrMalformed, len(a.Feeds))
	}
	return a, err
}

func (k *Keeper) serveSign(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registry.MaxHead))
	if err != nil {
		http.Error(w, "a head of the registry has at most 32 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	// Only a leader of raft makes heads. Anybody else could keep the leader
	// waiting.
	if id, ok := transport.PeerOf(r.Context()); ok && !k.current().serves(id) && !begins(body, id) {
		reply(w, signature{Code: "refused", Text: "heads are signed for the voters alone"})
		return
	}
	select {
	case k.signing <- struct{}{}:
		defer func() { <-k.signing }()
	default:
		http.Error(w, "others are being answered", http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), signTime)
	defer cancel()
	var a signature
	var no *objection
	switch a.Signature, err = k.sign(ctx, body); {
	case errors.As(err, &no):
		a.Code, a.Text, a.Head, a.Feeds = no.code, no.text, no.head, no.feeds
		k.Logger.Debug("a head of the registry was not signed", "code", no.code, "error", no.text)
	case err != nil:
		a.Code, a.Text = "refused", err.Error()
	}
	reply(w, a)
}

// sign signs the body of a head if all of it is what this voter knows: the
// entries as they are applied here, the voters as they are or as raft has
// changed them, and no feed that is known otherwise. So no two heads with one
// entry and two hashes ever get a majority while a majority of voters is honest.
func (k *Keeper) sign(ctx context.Context, body []byte) (identity.Signature, error) {
	h, err := registry.ParseHeadBody(body)
	if err != nil {
		return identity.Signature{}, err
	}
	s := k.State()
	first := s != nil && h.Recovery != nil && h.Branch().Outranks(k.heads.chain().Branch())
	switch {
	case s == nil || h.Federation != s.Federation() || h.Branch() != k.heads.chain().Branch() && !first:
		return identity.Signature{}, object("refused", "made for another federation or generation")
	case absolute(h.Issued-k.Now().Unix()) > int64(registry.HeadAhead/time.Second):
		return identity.Signature{}, object("clock", "issued %d s away from the clock here", absolute(h.Issued-k.Now().Unix()))
	}
	if first {
		if err := k.checkRecovery(&h); err != nil {
			return identity.Signature{}, err
		}
		return k.Self.Sign(identity.TypeRegistryHead, h.Federation, body), nil
	}
	if err := k.until(ctx, func() bool { return seqOf(k.State()) >= h.Seq }); err != nil {
		return identity.Signature{}, object("behind", "entry %d is not here yet", h.Seq)
	}
	if hash, _ := k.ledger.hashAt(h.Seq); hash != h.Hash {
		return identity.Signature{}, object("differs", "entry %d is another one here", h.Seq)
	}
	if err := k.checkSuccession(ctx, &h); err != nil {
		return identity.Signature{}, err
	}
	confirmed := uint64(0)
	if newest := k.heads.chain().Newest(); newest != nil {
		confirmed = newest.Seq
	}
	if err := k.checkTimes(confirmed, h.Seq); err != nil {
		return identity.Signature{}, err
	}
	if err := registry.CheckVoters(k.State(), h.Voters, h.Rotation > k.heads.chain().Rotation()); err != nil {
		return identity.Signature{}, err
	}
	if err := k.checkFeeds(&h); err != nil {
		return identity.Signature{}, err
	}
	return k.Self.Sign(identity.TypeRegistryHead, h.Federation, body), nil
}

// checkSuccession checks that a head comes after the one that is held, and that
// its voters are those of now.
func (k *Keeper) checkSuccession(ctx context.Context, h *registry.Head) error {
	known := k.heads.chain()
	newest := known.Newest()
	if newest != nil && (h.Rotation < known.Rotation() || h.Seq < newest.Seq || h.Issued < newest.Issued && (h.Seq == newest.Seq || k.attested() > 0) ||
		h.Rotation == known.Rotation() && h.Seq == newest.Seq && h.Issued == newest.Issued) {
		return &objection{code: "held", text: "a newer head is held here", head: newest.Envelope}
	}
	self := k.Self.Public()
	switch h.Rotation {
	case known.Rotation():
		if !slices.Equal(h.Voters, known.Voters()) {
			return object("voters", "rotation %d has other voters", h.Rotation)
		}
	case known.Rotation() + 1:
		if known.Rotation() == 0 {
			if len(h.Voters) != 1 || h.Voters[0] != self || !slices.Contains(k.State().Roots(), self) {
				return object("voters", "the first voter is the founder's node")
			}
			break
		}
		agreed := func() bool {
			v := k.current()
			return v != nil && slices.Equal(v.keys(k.State()), h.Voters)
		}
		if err := k.until(ctx, agreed); err != nil {
			return object("voters", "these are not the voters that raft knows here")
		}
	default:
		k.Poke()
		return object("behind", "the heads before rotation %d are not here yet", h.Rotation)
	}
	if !slices.Contains(h.Voters, self) && !slices.Contains(known.Voters(), self) {
		return object("voters", "this node is none of the voters")
	}
	return nil
}

// checkFeeds checks that no place of a feed is known otherwise, and that none
// is left out or taken back.
func (k *Keeper) checkFeeds(h *registry.Head) error {
	on := k.heads.anchors.Load()
	no := &objection{code: "feeds", text: "feeds are known otherwise here"}
	for _, a := range h.Feeds {
		if on.has(a) {
			continue // what is on record stays, whatever this node has come to hold
		}
		if on.contradicts(a) || k.Contradicts != nil && k.Contradicts(a) {
			no.feeds = append(no.feeds, a.Origin)
		}
	}
	if newest := k.heads.chain().Newest(); newest != nil {
		for _, a := range newest.Feeds {
			p, ok := h.Feed(a.Origin)
			m, member := k.State().MemberByOrigin(a.Origin)
			if ok && p.Before(a.Place) || !ok && member && m.Active() {
				return object("back", "the feed of %s is taken back", a.Origin)
			}
		}
	}
	if len(no.feeds) > 0 {
		return no
	}
	return nil
}

// until waits until a condition holds, or ctx ends.
func (k *Keeper) until(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for !holds() {
		select {
		case <-k.Changed():
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func absolute(n int64) int64 { return max(n, -n) }

// serveHead takes a head that a leader sends to the voters.
func (k *Keeper) serveHead(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registry.MaxHead))
	if err != nil {
		http.Error(w, "a head of the registry has at most 32 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	h, err := registry.ParseHead(b)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), holdTime)
	defer cancel()
	if k.outranks(b) {
		k.hearRecovery(ctx, b)
	} else if k.until(ctx, func() bool { return seqOf(k.State()) >= h.Seq }) == nil && !k.holds(b) {
		if err := k.keepHeads([][]byte{b}); errors.Is(err, ErrSplit) {
			k.stop(err)
		}
	}
	if !k.knows(h) {
		if id, ok := transport.PeerOf(r.Context()); !ok || k.current().serves(id) {
			k.Poke() // what is missing, others have
		}
		http.Error(w, "the head is not taken here", http.StatusConflict)
		return
	}
	reply(w, struct{}{})
}

// knows reports whether the head's voters and entries are known here.
func (k *Keeper) knows(h *registry.SignedHead) bool {
	known := k.heads.chain()
	newest := known.Newest()
	return newest != nil && known.Branch() == h.Branch() && known.Rotation() >= h.Rotation && newest.Seq >= h.Seq
}
