package gossip

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
)

func TestReadFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		kind byte
		want string
		err  error
	}{
		{"a packet", "\x00\x02\x01ab", framePacket, "ab", nil},
		{"a stream", "\x00\x00\x02", frameStream, "", nil},
		{"an empty packet", "\x00\x00\x01", 0, "", errFrame},
		{"a packet too long", "\x40\x01\x01", 0, "", errFrame},
		{"a stream with a payload", "\x00\x01\x02a", 0, "", errFrame},
		{"another kind", "\x00\x00\x05", 0, "", errFrame},
		{"kind zero", "\x00\x00\x00", 0, "", errFrame},
		{"nothing", "", 0, "", io.EOF},
		{"half a header", "\x00\x02", 0, "", io.ErrUnexpectedEOF},
		{"half a packet", "\x00\x02\x01a", 0, "", io.ErrUnexpectedEOF},
	} {
		kind, payload, err := readFrame(bytes.NewReader([]byte(c.in)), make([]byte, maxFrame))
		if kind != c.kind || string(payload) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d %q %v, want %d %q %v", c.name, kind, payload, err, c.kind, c.want, c.err)
		}
	}
}

func TestStateLimits(t *testing.T) {
	many := Summary{Feeds: make([]FeedMark, 300)}
	raw, err := encodeState(identity.NodeID{1}, many)
	if err != nil {
		t.Fatal(err)
	}
	if _, s, err := decodeState(raw); err != nil || len(s.Feeds) != maxFeeds {
		t.Errorf("%d feeds, %v; want %d", len(s.Feeds), err, maxFeeds)
	}
	raw, err = identity.Marshal(state{identity.NodeID{1}, many})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := decodeState(raw); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("300 feeds: %v", err)
	}
	if _, _, err := decodeState(make([]byte, maxSummary+1)); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x00\x02\x01ab"))
	f.Add([]byte("\x00\x00\x02rest"))
	f.Add([]byte("\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		kind, payload, err := readFrame(r, make([]byte, maxFrame))
		if err != nil {
			return
		}
		read := in[:len(in)-r.Len()]
		if out := appendFrame(nil, kind, payload); !bytes.Equal(out, read) {
			t.Errorf("read %x, wrote %x", read, out)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	raw, err := encodeState(identity.NodeID{1}, Summary{RegistrySeq: 1, Feeds: []FeedMark{{Epoch: 2, N: 3}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		from, s, err := decodeState(in)
		if err != nil {
			return
		}
		out, err := encodeState(from, s)
		if err != nil {
			t.Fatal(err)
		}
		from2, s2, err := decodeState(out)
		if err != nil || from2 != from || s2.RegistrySeq != s.RegistrySeq || len(s2.Feeds) != len(s.Feeds) {
			t.Errorf("%+v came back as %+v: %v", s, s2, err)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	raw, err := identity.Marshal(message{identity.NodeID{1}, "beat", []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decodeMessage(in)
		if err != nil {
			return
		}
		out, err := identity.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeMessage(out)
		if err != nil || again.Name != m.Name || !reflect.DeepEqual(append([]byte{}, again.Body...), append([]byte{}, m.Body...)) {
			t.Errorf("%+v came back as %+v: %v", m, again, err)
		}
	})
}
