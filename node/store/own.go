package store

import (
	"errors"
	"fmt"
	"slices"

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

// Mark says of which document the public part was published last: [Own.Published].
type Mark struct {
	Key       feed.Key
	Published identity.Hash // zero: never, or taken back
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
	err = s.read(func(r *reading) error {
		item, err := find(r.txn, key(prefixOwn, k))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err == nil {
			ok = true
			d, err = s.own(r.txn, item)
		}
		return err
	})
	d.Key = k
	return d, ok, err
}

// own reads a document and its mark, which stands apart so that publishing does
// not write the document again. Where there is none, the document may hold it
// itself: it was written by an older version.
func (s *Store) own(txn *badger.Txn, item *badger.Item) (d Own, err error) {
	b, err := s.pack.value(item)
	if err != nil {
		return d, err
	}
	if err := decode(b, &d); err != nil {
		return d, err
	}
	d.Key = feed.Key(item.Key()[1:])
	mark, err := raw(txn, key(prefixShown, d.Key))
	if len(mark) == len(d.Published) {
		d.Published = identity.Hash(mark)
	}
	return d, err
}

// EachOwn calls f for every document in order of key until it returns an error.
func (s *Store) EachOwn(f func(Own) error) error {
	return s.view(func(txn *badger.Txn) error {
		return scan(txn, key(prefixOwn), true, func(item *badger.Item) error {
			d, err := s.own(txn, item)
			if err != nil {
				return err
			}
			return f(d)
		})
	})
}

// OwnVersion changes with every write of the owner's documents: what was learnt by
// reading all of them holds as long as the version is the one before.
func (s *Store) OwnVersion() uint64 { return s.ownVersion.Load() }

// PublishedOwn counts the documents that were published and not taken back. Where
// a mark says it, the document itself is not read.
func (s *Store) PublishedOwn() (n uint64, err error) {
	err = s.view(func(txn *badger.Txn) error {
		return scan(txn, key(prefixOwn), false, func(item *badger.Item) error {
			mark, err := raw(txn, key(prefixShown, feed.Key(item.Key()[1:])))
			if err != nil {
				return err
			}
			var published bool
			if len(mark) == len(identity.Hash{}) {
				published = identity.Hash(mark) != identity.Hash{}
			} else { // none, or of an older version
				d, err := s.own(txn, item)
				if err != nil {
					return err
				}
				published = d.Published != identity.Hash{}
			}
			if published {
				n++
			}
			return nil
		})
	})
	return n, err
}

// PutOwn keeps documents, in several transactions when they are many: each one
// is kept whole.
func (s *Store) PutOwn(docs ...Own) error {
	for len(docs) > 0 {
		var batch []stored
		n, size := 0, 0
		for n < len(docs) && n < batchItems {
			d := docs[n]
			if len(d.Document) > MaxOwn {
				return fmt.Errorf("keep document %s: %w: %d bytes, at most %d", d.Key, feed.ErrTooLarge, len(d.Document), MaxOwn)
			}
			d.Published = identity.Hash{} // the mark says it
			b, err := identity.Marshal(d)
			if err != nil {
				return fmt.Errorf("keep document %s: %w", d.Key, err)
			}
			v := s.pack.entry(key(prefixOwn, d.Key), b)
			if n > 0 && size+len(v.value) > batchBytes {
				break
			}
			batch, size, n = append(batch, v), size+len(v.value), n+1
		}
		err := s.updateOwn(func(txn *badger.Txn) error {
			for i, v := range batch {
				if err := v.set(txn); err != nil {
					return err
				}
				if err := putMark(txn, docs[i]); err != nil {
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

// markItems is how many marks go into one transaction.
const markItems = 4000

// MarkOwn keeps what was published of documents, and leaves the documents as they
// are.
func (s *Store) MarkOwn(marks ...Mark) error {
	for batch := range slices.Chunk(marks, markItems) {
		if err := s.updateOwn(func(txn *badger.Txn) error {
			for _, m := range batch { // one of nothing too: an older version's document may say otherwise
				if err := txn.Set(key(prefixShown, m.Key), m.Published[:]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("keep what was published: %w", err)
		}
	}
	return nil
}

func putMark(txn *badger.Txn, d Own) error {
	k := key(prefixShown, d.Key)
	if d.Published == (identity.Hash{}) {
		return txn.Delete(k)
	}
	return txn.Set(k, d.Published[:])
}

// DeleteOwn removes documents. It is not an error when there are none.
func (s *Store) DeleteOwn(keys ...feed.Key) error {
	for batch := range slices.Chunk(keys, markItems) {
		if err := s.updateOwn(func(txn *badger.Txn) error { return dropOwn(txn, batch...) }); err != nil {
			return err
		}
	}
	return nil
}

func dropOwn(txn *badger.Txn, keys ...feed.Key) error {
	for _, k := range keys {
		if err := errors.Join(txn.Delete(key(prefixOwn, k)), txn.Delete(key(prefixShown, k))); err != nil {
			return err
		}
	}
	return nil
}

// EraseOwn removes one document as DeleteOwn does, and has the files compacted
// within days, so that they do not hold it any more either.
func (s *Store) EraseOwn(k feed.Key) error {
	return s.updateOwn(func(txn *badger.Txn) error {
		if err := dropOwn(txn, k); err != nil {
			return err
		}
		return s.markErased(txn)
	})
}
