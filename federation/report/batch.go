package report

import (
	"fmt"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of what nodes send each other.
const (
	maxItems = 64 // reports in one batch
	MaxBatch = 256 << 10
)

// item is one report on its way.
type item struct {
	_      struct{} `cbor:",toarray"`
	ID     ID
	Day    feed.Day
	Sealed []byte
}

// batch carries reports to their country.
type batch struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	To         identity.OriginID     `cbor:"3,keyasint"`
	Items      []item                `cbor:"4,keyasint"`
}

// settled names the reports that the other side need not keep any longer.
type settled struct {
	IDs []ID `cbor:"1,keyasint"`
}

func encodeBatch(b batch) ([]byte, error) { return identity.Marshal(b) }

func decodeBatch(raw []byte) (b batch, err error) {
	if len(raw) > MaxBatch {
		return b, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(raw), MaxBatch)
	}
	if err := identity.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if b.Version != 1 || len(b.Items) > maxItems {
		return b, fmt.Errorf("%w: version %d, %d reports", ErrMalformed, b.Version, len(b.Items))
	}
	for _, i := range b.Items {
		if len(i.Sealed) == 0 || len(i.Sealed) > maxSealed {
			return b, fmt.Errorf("%w: %d bytes sealed", ErrMalformed, len(i.Sealed))
		}
	}
	return b, nil
}

func decodeSettled(raw []byte) (s settled, err error) {
	if len(raw) > MaxBatch {
		return s, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(raw), MaxBatch)
	}
	if len(raw) == 0 {
		return s, nil
	}
	if err := identity.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(s.IDs) > maxItems {
		return s, fmt.Errorf("%w: %d names", ErrMalformed, len(s.IDs))
	}
	return s, nil
}
