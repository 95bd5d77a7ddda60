package catalog

import (
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
)

// TestShownIsBounded: what is asked for stays, what is not goes, and never is
// more kept than there is room for.
func TestShownIsBounded(t *testing.T) {
	var s shown
	hash := func(i int) (h identity.Hash) { h[0], h[1], h[2] = byte(i), byte(i>>8), byte(i>>16); return h }
	body := make([]byte, 4<<10)
	const n = 4 * shownRoom / (4 << 10)
	for i := range n {
		s.put(hash(i), &signed{body: body})
		if s.get(hash(0)) == nil {
			t.Fatalf("what is asked for again and again was gone after %d others", i)
		}
	}
	kept := 0
	for i := range n {
		if s.young[hash(i)] != nil || s.old[hash(i)] != nil {
			kept += len(body)
		}
	}
	if kept > shownRoom+2*len(body) || kept < shownRoom/2 {
		t.Errorf("%d bytes are kept, the room is %d", kept, shownRoom)
	}
	if s.get(hash(1)) != nil {
		t.Error("what nobody asked for is still there")
	}
}
