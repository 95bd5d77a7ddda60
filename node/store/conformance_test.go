package store_test

import (
	"context"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// appender lets a store stand where a catalog stands in a node.
type appender struct{ *store.Store }

func (a appender) Append(ctx context.Context, v *feed.Verified) error { return a.Apply(ctx, v) }

func alias(o identity.OriginID, k feed.Key) feed.Key {
	h := identity.Sum(0x7f, o[:], k[:])
	return feed.Key(h[:16])
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	o.Alias = alias
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFeedStore(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		feedtest.Run(t, func(t *testing.T) (feed.Store, feed.Appender) {
			s := open(t, store.Options{InMemory: true})
			return s, appender{s}
		})
	})
	t.Run("on disk", func(t *testing.T) {
		feedtest.Run(t, func(t *testing.T) (feed.Store, feed.Appender) {
			s := open(t, store.Options{Dir: t.TempDir(), Floor: -1})
			return s, appender{s}
		})
	})
}
