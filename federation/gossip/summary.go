package gossip

import (
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of what travels.
const (
	maxName    = 64       // bytes of a hint's name
	maxHint    = 1 << 10  // bytes of a hint's body
	maxSummary = 64 << 10 // bytes of an encoded summary
	maxFeeds   = 256      // feeds in a summary
)

// Hint is something worth looking at: a new head or beat, say. Package gossip
// does not look inside.
type Hint struct {
	Name string // 1 to 64 bytes; a newer hint of a name replaces an older one
	Body []byte // at most 1 KiB
}

// Summary is how far a node has got.
type Summary struct {
	RegistrySeq  uint64     `cbor:"1,keyasint,omitempty"`
	RegistryHash [8]byte    `cbor:"2,keyasint"` // of the registry at that sequence
	Feeds        []FeedMark `cbor:"3,keyasint,omitempty"`
}

// FeedMark is the newest head that a node has of one feed.
type FeedMark struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
	Epoch  uint64            `cbor:"2,keyasint,omitempty"`
	N      uint64            `cbor:"3,keyasint,omitempty"`
	Hash   [8]byte           `cbor:"4,keyasint"` // of the head
}

// state is a summary with the node that says it.
type state struct {
	From    identity.NodeID `cbor:"1,keyasint"`
	Summary Summary         `cbor:"2,keyasint"`
}

// encodeState leaves out feeds beyond the limit.
func encodeState(from identity.NodeID, s Summary) ([]byte, error) {
	s.Feeds = s.Feeds[:min(len(s.Feeds), maxFeeds)]
	return identity.Marshal(state{from, s})
}

func decodeState(b []byte) (identity.NodeID, Summary, error) {
	var s state
	if len(b) > maxSummary {
		return s.From, s.Summary, fmt.Errorf("%w: a summary of %d bytes", identity.ErrMalformed, len(b))
	}
	if err := identity.Unmarshal(b, &s); err != nil {
		return identity.NodeID{}, Summary{}, err
	}
	if len(s.Summary.Feeds) > maxFeeds {
		return identity.NodeID{}, Summary{}, fmt.Errorf("%w: a summary of %d feeds", identity.ErrMalformed, len(s.Summary.Feeds))
	}
	return s.From, s.Summary, nil
}

// message is a hint on its way.
type message struct {
	From identity.NodeID `cbor:"1,keyasint"`
	Name string          `cbor:"2,keyasint"`
	Body []byte          `cbor:"3,keyasint,omitempty"`
}

// maxMessage bounds an encoded message: the limits and room for the encoding.
const maxMessage = maxName + maxHint + 64

func decodeMessage(b []byte) (m message, err error) {
	if len(b) > maxMessage {
		return message{}, fmt.Errorf("%w: a hint of %d bytes", identity.ErrMalformed, len(b))
	}
	if err := identity.Unmarshal(b, &m); err != nil {
		return message{}, err
	}
	if m.Name == "" || len(m.Name) > maxName || len(m.Body) > maxHint {
		return message{}, fmt.Errorf("%w: a hint beyond the limits", identity.ErrMalformed)
	}
	return m, nil
}
