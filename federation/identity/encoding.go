package identity

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed is returned for bytes that are not in the federation's encoding.
var ErrMalformed = errors.New("malformed encoding")

// Limits of the encoding. They bound what a decoder may be made to allocate;
// each message sets narrower limits of its own.
const (
	maxNesting  = 16
	maxElements = 131072
	maxPairs    = 65536
)

var (
	encoding = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		NaNConvert:    cbor.NaNConvert7e00,
		InfConvert:    cbor.InfConvertFloat16,
		IndefLength:   cbor.IndefLengthForbidden,
		TagsMd:        cbor.TagsForbidden,
		TextMarshaler: cbor.TextMarshalerNone,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   maxNesting,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxPairs,
		ExtraReturnErrors: cbor.ExtraDecErrorNone, // unknown fields are kept in the bytes and ignored
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes v as deterministic CBOR (RFC 8949 §4.2.1). Ids, keys and
// hashes are byte strings; structs use small integer keys.
func Marshal(v any) ([]byte, error) { return encoding.Marshal(v) }

// Unmarshal decodes exactly one value. Duplicate keys, indefinite lengths, tags,
// invalid UTF-8, deep nesting and trailing bytes are refused with
// [ErrMalformed]; unknown keys are ignored. The caller bounds len(b).
func Unmarshal(b []byte, v any) error {
	if err := decoding.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return nil
}
