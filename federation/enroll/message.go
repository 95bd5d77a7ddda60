package enroll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Domain bytes of this package's hashes (see [identity.Sum]).
const (
	domainInvitation = 0x38 // an invitation's id, of its secret
	domainCandidate  = 0x39 // what a newcomer says of itself
	domainCommitment = 0x3a // what a newcomer binds itself to before it sees anything
	domainNumbers    = 0x3b // what both sides compare
	domainCarried    = 0x3c // the same, of a request that came in a file
)

// maxMessage is the most bytes of one message of the knock.
const maxMessage = 16 << 10

var errMessage = errors.New("not a message of the knock")

// purpose is why a node calls.
type purpose string

const (
	purposeLook  purpose = "look"  // to complete an invitation read from a code
	purposeKnock purpose = "knock" // to ask for admission
	purposeAsk   purpose = "ask"   // what became of it
)

// hello opens a call; the newcomer sends it.
type hello struct {
	Version    uint64                `cbor:"1,keyasint"`
	Purpose    purpose               `cbor:"2,keyasint"`
	Federation identity.FederationID `cbor:"3,keyasint"`
	Invitation registry.ID           `cbor:"4,keyasint"`
	Commitment identity.Hash         `cbor:"5,keyasint"` // zero unless it knocks
	Clock      int64                 `cbor:"6,keyasint"` // Unix seconds
}

// greeting answers hello.
type greeting struct {
	Refusal *Refusal `cbor:"1,keyasint,omitempty"`
	Nonce   [32]byte `cbor:"2,keyasint"`
	Terms   []byte   `cbor:"3,keyasint,omitempty"` // to look: the sponsor's signed terms
}

// knock follows a greeting.
type knock struct {
	Nonce  [32]byte `cbor:"1,keyasint"` // opens the commitment, with the request
	Sealed []byte   `cbor:"2,keyasint"` // a request, to the sponsor's seal key
}

// request is what only the sponsor reads.
type request struct {
	Statement []byte `cbor:"1,keyasint"` // see registry.ParseStatement
	// Contact is a person and how to reach them, for the comparison. It goes
	// no further than the sponsor.
	Contact string `cbor:"2,keyasint,omitempty"`
	Version string `cbor:"3,keyasint,omitempty"` // of the newcomer's program
}

// outcome ends a call.
type outcome struct {
	Refusal *Refusal `cbor:"1,keyasint,omitempty"`
	Answer  Answer   `cbor:"2,keyasint"`
}

// Standing is how far a newcomer has come.
type Standing string

// The standings of a newcomer.
const (
	Waiting  Standing = "waiting"  // the sponsor has the request; it or others have not decided
	Voting   Standing = "voting"   // the sponsor has proposed it to the others
	Admitted Standing = "admitted" // a member
	Refused  Standing = "refused"  // will not come in by this invitation
)

// Answer is what the sponsor's node says about a newcomer.
type Answer struct {
	Standing  Standing `cbor:"1,keyasint"`
	Seq       uint64   `cbor:"2,keyasint,omitempty"` // admitted: the registry's last entry there
	Approvals int      `cbor:"3,keyasint,omitempty"` // voting: how many members have signed
	Needed    int      `cbor:"4,keyasint,omitempty"` // voting: how many must
	Objection int      `cbor:"5,keyasint,omitempty"` // voting: how many spoke against it
}

// send writes one message: its length in four bytes, then CBOR.
func send(w io.Writer, v any) error {
	b, err := identity.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errMessage, len(b), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// receive reads one message. It allocates no more than maxMessage, whatever
// the length says.
func receive(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errMessage, n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := identity.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", errMessage, err)
	}
	return nil
}

// candidateHash names everything a newcomer says of itself, its keys above all.
func candidateHash(c registry.Candidate) (identity.Hash, error) {
	b, err := identity.Marshal(c)
	if err != nil {
		return identity.Hash{}, err
	}
	return identity.Sum(domainCandidate, b), nil
}

// commitment binds the newcomer to its keys and its nonce before it knows the
// sponsor's: somebody who stands between the two has one guess at the numbers,
// not as many as a computer can make.
func commitment(candidate identity.Hash, nonce [32]byte) identity.Hash {
	return identity.Sum(domainCommitment, candidate[:], nonce[:])
}

// parties is what the numbers are made of: who is whose opposite.
type parties struct {
	federation identity.FederationID
	invitation registry.ID
	candidate  identity.Hash      // the newcomer
	admin      identity.PublicKey // the sponsor
	seal       identity.SealPublicKey
	node       identity.NodeID // that took the knock
	newcomer   [32]byte        // nonces
	sponsor    [32]byte
}

// numbers are three numbers of four digits, from 1000 to 9191: 39 bits that both
// sides read to each other over the telephone.
func (p parties) numbers() string {
	h := identity.Sum(domainNumbers, p.federation[:], p.invitation[:], p.candidate[:], p.admin[:], p.seal[:], p.node[:], p.newcomer[:], p.sponsor[:])
	return digits(h[:])
}

// digits are 39 bits as three numbers.
func digits(h []byte) string {
	bits := binary.BigEndian.Uint64(h[:8])
	return fmt.Sprintf("%d %d %d", 1000+bits>>51&0x1fff, 1000+bits>>38&0x1fff, 1000+bits>>25&0x1fff)
}

// sealInfo binds a sealed request to its call.
func sealInfo(f identity.FederationID, invitation registry.ID, sponsor [32]byte) []byte {
	b := append([]byte("waymark/knock/1\x00"), f[:]...)
	b = append(b, invitation[:]...)
	return append(b, sponsor[:]...)
}
