package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// TestDictionary: with one byte of it changed, nothing that is packed could be
// read any more. A better one gets a number of its own beside this one, which
// stays for what was packed with it.
//
// It was made of seven demonstration listings of seven countries, as
// JSON and as the bodies of records, with every text taken out that is no code,
// day or time.
func TestDictionary(t *testing.T) {
	b, err := os.ReadFile("dictionary1")
	if err != nil {
		t.Fatal(err)
	}
	const want = "51aee3d7ccb08fd8ace6b9fc4e026f4f7dae294e8b6c68f68a8d9083a1d0808b"
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
		t.Errorf("the sum of dictionary1 is %x", sum)
	}
}

// long is a text of about n bytes that packs well.
func long(n int) string { return strings.Repeat(`{"channels":[{"type":"phone"}]} `, n/32) }

// TestPacked: what packs is small on disk and comes back as it was given, to
// readers, to the scrub and to repairs; what older versions wrote as it is, too.
func TestPacked(t *testing.T) {
	dir := t.TempDir()
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	s := open(t, store.Options{Dir: dir, Floor: -1})
	apply(t, f, s, a.Fill(0, 50, long(6000)))
	own := store.Own{Key: feedtest.RecordKey(1), Document: []byte(long(6000))}
	if err := s.PutOwn(own); err != nil {
		t.Fatal(err)
	}
	feedtest.Same(t, s, a)
	if got, ok, err := s.Own(own.Key); err != nil || !ok || !bytes.Equal(got.Document, own.Document) {
		t.Errorf("Own = %d bytes, %t, %v", len(got.Document), ok, err)
	}
	entries, size := 0, 0
	change := a.Live()[3]
	record := store.Key('r', a.Origin(), change.Key, change.Hash)
	var before []byte
	if err := s.Commit(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			switch it.Item().Key()[0] {
			case 'r', 'd':
				entries++
				size += int(it.Item().ValueSize())
			}
			if bytes.Equal(it.Item().Key(), record) {
				before, _ = it.Item().ValueCopy(nil)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if entries != 51 || size > 51*600 {
		t.Errorf("%d values take %d bytes", entries, size)
	}
	for name, c := range map[string]struct {
		value []byte
		meta  byte
		want  error
	}{
		"as an older version wrote it": {a.Raw(change.Key), 0, nil},
		"packed":                       {before, 1, nil},
		"cut":                          {before[:len(before)-3], 1, store.ErrRotten},
		"no frame":                     {[]byte("nothing that was ever packed"), 1, store.ErrRotten},
		"packed in an unknown way":     {before, 9, store.ErrRotten},
		"not unpacked":                 {before, 0, store.ErrRotten},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Commit(func(txn *badger.Txn) error {
				return txn.SetEntry(badger.NewEntry(record, c.value).WithMeta(c.meta))
			}); err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := s.Record(change.Key); !errors.Is(err, c.want) {
				t.Errorf("Record: %v", err)
			}
			if err := s.Scrub(context.Background(), a.Origin()); !errors.Is(err, c.want) {
				t.Errorf("Scrub: %v", err)
			}
			view, err := s.Actual(a.Origin())
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			list, err := view.Bucket(change.Key.Bucket())
			there := false
			for _, x := range list {
				there = there || x == change
			}
			if err != nil || there != (c.want == nil) {
				t.Errorf("Actual shows it: %t, %v", there, err)
			}
		})
	}
}

// TestMarkOwn: what was published is kept apart from the document, and counts
// for documents of older versions, which hold it themselves.
func TestMarkOwn(t *testing.T) {
	s := open(t, store.Options{InMemory: true})
	k := feedtest.RecordKey(1)
	d := store.Own{Key: k, Document: []byte(`{"id":"1"}`)}
	d.Published = d.Fingerprint()
	old, err := identity.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(func(txn *badger.Txn) error { return txn.Set(store.Key('d', k), old) }); err != nil {
		t.Fatal(err)
	}
	state := func(want string) {
		t.Helper()
		got, ok, err := s.Own(k)
		if err != nil || !ok || got.State() != want {
			t.Errorf("Own = %q, %t, %v; want %q", got.State(), ok, err, want)
		}
		if n, err := s.PublishedOwn(); err != nil || (n == 1) != (want != "draft") {
			t.Errorf("PublishedOwn = %d, %v; the document is %q", n, err, want)
		}
		if err := s.EachOwn(func(each store.Own) error {
			if each.Key != k || each.State() != want {
				t.Errorf("EachOwn: %s is %q, want %q", each.Key, each.State(), want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	state("published")
	must(s.MarkOwn(store.Mark{Key: k}))
	state("draft")
	must(s.MarkOwn(store.Mark{Key: k, Published: d.Published}))
	state("published")
	must(s.PutOwn(store.Own{Key: k, Document: []byte(`{"id":"1","name":"a"}`), Published: d.Published}))
	state("changed")
	must(s.PutOwn(store.Own{Key: k, Document: []byte(`{"id":"1"}`)}))
	state("draft")
	must(s.MarkOwn(store.Mark{Key: k, Published: d.Published}))
	must(s.DeleteOwn(k))
	for _, prefix := range []byte{'d', 'p'} {
		if n, err := s.Keys(prefix); n != 0 || err != nil {
			t.Errorf("%d keys %c, %v", n, prefix, err)
		}
	}
}
