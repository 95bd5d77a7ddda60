package store

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// MaxOwn is how large a document of the owner may be, in bytes.
const MaxOwn = 1000 << 10

// Own is one of the owner's documents as its editors have it: with private
// parts, and possibly newer than what is published. It never leaves the node.
type Own struct {
	Key       feed.Key      `cbor:"-"`
	Document  []byte        `cbor:"1,keyasint"` // HSDS JSON, whole
	Published identity.Hash `cbor:"2,keyasint"` // Fingerprint of the document whose public part was published last; zero: never, or taken back
	Updated   feed.Day      `cbor:"3,keyasint"`
}

// Fingerprint tells one state of the document from another.
func (d Own) Fingerprint() identity.Hash { return identity.Sum(0x40, d.Document) }

// State is what an editor sees of a document: "draft", "published", or
// "changed" when it was edited since it was published.
func (d Own) State() string {
	switch {
	case d.Published == identity.Hash{}:
		return "draft"
	case d.Published == d.Fingerprint():
		return "published"
	}
	return "changed"
}

// Own reads one document; false when there is none.
func (s *Store) Own(k feed.Key) (d Own, ok bool, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		ok, err = get(txn, key(prefixOwn, k), &d)
		return err
	})
	d.Key = k
	return d, ok, err
}

// EachOwn calls f for every document in order of key until it returns an error.
func (s *Store) EachOwn(f func(Own) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		return scan(txn, key(prefixOwn), true, func(item *badger.Item) error {
			d := Own{}
			if err := item.Value(func(b []byte) error { return identity.Unmarshal(b, &d) }); err != nil {
				return fmt.Errorf("%w: %v", ErrDamaged, err)
			}
			d.Key = feed.Key(item.Key()[1:])
			return f(d)
		})
	})
}

// PutOwn keeps documents, in several transactions when they are many: each one
// is kept whole.
func (s *Store) PutOwn(docs ...Own) error {
	for len(docs) > 0 {
		n, size := 0, 0
		for n < len(docs) && n < batchItems && (n == 0 || size+len(docs[n].Document) <= batchBytes) {
			size += len(docs[n].Document)
			n++
		}
		if size > MaxOwn {
			return fmt.Errorf("keep document %s: %w: %d bytes, at most %d", docs[0].Key, feed.ErrTooLarge, size, MaxOwn)
		}
		err := s.updateOwn(func(txn *badger.Txn) error {
			for _, d := range docs[:n] {
				if err := set(txn, key(prefixOwn, d.Key), d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keep documents: %w", err)
		}
		docs = docs[n:]
	}
	return nil
}

// DeleteOwn removes one document. It is not an error when there is none.
func (s *Store) DeleteOwn(k feed.Key) error {
	return s.updateOwn(func(txn *badger.Txn) error { return txn.Delete(key(prefixOwn, k)) })
}

// EraseOwn removes one document as DeleteOwn does, and has the files compacted
// within days, so that they do not hold it any more either.
func (s *Store) EraseOwn(k feed.Key) error {
	return s.updateOwn(func(txn *badger.Txn) error {
		if err := txn.Delete(key(prefixOwn, k)); err != nil {
			return err
		}
		return s.markErased(txn)
	})
}
