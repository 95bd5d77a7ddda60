package catalog

import (
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
)

// TestShownIsBounded: what is asked for stays, what is not goes, and never is
// more kept than there is room for.
func TestShownIsBounded(t *testing.T) {
	var s shown
	id := func(i int) (h feed.Key) { h[0], h[1], h[2] = byte(i), byte(i>>8), byte(i>>16); return h }
	body := make([]byte, 4<<10)
	const n = 4 * shownRoom / (4 << 10)
	for i := range n {
		s.put(id(i), &signed{body: body}, func() uint64 { return 0 })
		if s.get(id(0)) == nil {
			t.Fatalf("what is asked for again and again was gone after %d others", i)
		}
	}
	kept := 0
	for i := range n {
		if s.young[id(i)] != nil || s.old[id(i)] != nil {
			kept += len(body)
		}
	}
	if kept > shownRoom+2*len(body) || kept < shownRoom/2 {
		t.Errorf("%d bytes are kept, the room is %d", kept, shownRoom)
	}
	if s.get(id(1)) != nil {
		t.Error("what nobody asked for is still there")
	}
}
