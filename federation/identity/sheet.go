package identity

import (
	"crypto/sha256"
	"fmt"
)

// sheetSum is how many bytes of a checksum end a secret on paper.
const sheetSum = 3

// Paper is the private half of a recovery key, to be written on a sheet: groups
// of five characters, each with its own check.
func (k *Key) Paper() (string, error) {
	if k.role != RoleRecovery {
		return "", fmt.Errorf("a %s key is not for paper; only a recovery key is", k.role)
	}
	seed := k.private().Seed()
	sum := sha256.Sum256(append([]byte("waymark recovery key"), seed...))
	return EncodeGroups(append(seed, sum[:sheetSum]...)), nil
}

// RecoveryKey reads what Paper writes, however it is spaced. It fails with
// [ErrNoGroups] or [ErrTypo].
func RecoveryKey(text string) (*Key, error) {
	b, err := DecodeGroups(text)
	if err != nil {
		return nil, err
	}
	const size = 32 + sheetSum
	if len(b) < size {
		return nil, fmt.Errorf("%w: the end is missing", ErrTypo)
	}
	seed := [32]byte(b[:32])
	sum := sha256.Sum256(append([]byte("waymark recovery key"), seed[:]...))
	if string(sum[:sheetSum]) != string(b[32:size]) {
		return nil, fmt.Errorf("%w: every group fits, and all of them together do not", ErrTypo)
	}
	return KeyFromSeed(RoleRecovery, seed), nil
}
