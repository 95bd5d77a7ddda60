package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The frame of waymark-gossip/1: length of the payload (2 bytes, big endian),
// kind (1 byte), payload. The first frame tells what a connection is for. After
// a stream frame the connection belongs to memberlist.
const (
	framePacket byte = 1 // payload: one packet of memberlist
	frameStream byte = 2 // no payload; first on its connection
	frameAsk    byte = 3 // no payload; "are you there?"
	frameHere   byte = 4 // no payload; the answer

	frameHeader = 3
	maxFrame    = 16 << 10 // payload bytes
)

var errFrame = errors.New("not a frame of the gossip protocol")

// readFrame reads one frame into buf, which holds maxFrame bytes. The payload
// is valid until the next call.
func readFrame(r io.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	switch kind = head[2]; {
	case kind == framePacket && (n == 0 || n > maxFrame):
		return 0, nil, fmt.Errorf("%w: a packet of %d bytes", errFrame, n)
	case kind < framePacket || kind > frameHere:
		return 0, nil, fmt.Errorf("%w: kind %d", errFrame, kind)
	case kind != framePacket && n != 0:
		return 0, nil, fmt.Errorf("%w: kind %d with %d bytes", errFrame, kind, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return 0, nil, fmt.Errorf("frame cut short: %w", err)
	}
	return kind, buf[:n], nil
}

// appendFrame adds a frame to b. The caller has checked the length.
func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	b = append(b, kind)
	return append(b, payload...)
}
