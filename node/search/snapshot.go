package search

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// view is a segment as one snapshot sees it.
type view struct {
	seg    *segment
	dead   int     // documents
	live   docBits // the others
	public docBits // of these, who is not for professionals only
	sum    uint64  // of the lengths of the living
	purge  bool    // what is dead was erased, and must leave the segment soon
}

func newView(s *segment) view {
	v := view{seg: s, live: s.all}
	for _, l := range s.length {
		v.sum += uint64(l)
	}
	v.public = v.visible()
	return v
}

func (v *view) visible() docBits {
	out := slices.Clone(v.live)
	for i, w := range v.seg.pros {
		out[i] &^= w
	}
	return out
}

func (v *view) isDead(doc uint32) bool { return !v.live.has(doc) }
func (v *view) count() int             { return v.seg.n - v.dead }

// without returns v after the deaths of some documents.
func (v view) without(docs []uint32) view {
	v.live = slices.Clone(v.live)
	for _, d := range docs {
		if v.live.has(d) {
			v.live.unset(d)
			v.dead++
			v.sum -= uint64(v.seg.length[d])
		}
	}
	v.public = v.visible()
	return v
}

// snapshot is the state of the index between two changes. It never changes,
// but for the mark that a token for it was given out.
type snapshot struct {
	number uint64
	views  []view
	count  int
	mean   float32 // length of a living document
	langs  uint16
	labels *labels

	issued  atomic.Bool
	retired time.Time // when it ceased to be the newest; written before it is kept
}

func newSnapshot(number uint64, views []view, l *labels) *snapshot {
	s := &snapshot{number: number, views: views, labels: l, langs: l.langs}
	sum := uint64(0)
	for i := range views {
		s.count += views[i].count()
		s.langs |= views[i].seg.langs
		sum += views[i].sum
	}
	if s.count > 0 {
		s.mean = float32(float64(sum) / float64(s.count))
	}
	s.mean = max(s.mean, 1)
	return s
}

// How long snapshots are kept to page in.
const (
	keptSnapshots = 8
	keptFor       = 15 * time.Minute
	keptAtMost    = 256
	keptUnasked   = 10 * time.Second // for a question that began before it was replaced
)

// keep returns the retired snapshots that are still worth keeping, newest
// first: of those to which a reader may come back the last eight, and the others
// for 15 minutes, as long as the segments that only they hold are not larger than
// those in use.
func keep(kept []*snapshot, current *snapshot, now time.Time) []*snapshot {
	held := map[*segment]bool{}
	budget := 16 << 20
	for _, v := range current.views {
		held[v.seg] = true
		budget += v.seg.bytes
	}
	out := make([]*snapshot, 0, len(kept))
	for i, s := range kept {
		if i >= keptAtMost {
			break
		}
		age := now.Sub(s.retired)
		if !s.issued.Load() && age >= keptUnasked || current.number-s.number > keptSnapshots && age >= keptFor {
			continue
		}
		extra := 0
		for _, v := range s.views {
			if !held[v.seg] {
				extra += v.seg.bytes
			}
		}
		if extra > budget {
			continue
		}
		budget -= extra
		for _, v := range s.views {
			held[v.seg] = true
		}
		out = append(out, s)
	}
	return slices.Clip(out)
}

// newToken names a snapshot and the minute of a question, so that further pages
// see the same openings and ages. It is the same for all readers of that
// minute, and no one else can make one: a made up minute would cost a node work.
func newToken(key []byte, number uint64, minute int64) string {
	b := binary.AppendUvarint(nil, number)
	b = binary.AppendVarint(b, minute)
	return base64.RawURLEncoding.EncodeToString(append(b, seal(key, b)...))
}

const sealLen = 8

func seal(key, b []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(b)
	return m.Sum(nil)[:sealLen]
}

// parseToken is the mirror of newToken.
func parseToken(key []byte, s string) (number uint64, minute int64, ok bool) {
	if len(s) > 64 {
		return 0, 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < sealLen+2 {
		return 0, 0, false
	}
	body, sum := b[:len(b)-sealLen], b[len(b)-sealLen:]
	if !hmac.Equal(sum, seal(key, body)) {
		return 0, 0, false
	}
	number, n := binary.Uvarint(body)
	if n <= 0 {
		return 0, 0, false
	}
	minute, m := binary.Varint(body[n:])
	return number, minute, m > 0 && n+m == len(body)
}
