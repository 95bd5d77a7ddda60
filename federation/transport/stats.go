package transport

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
)

// Reason says why a connection was refused. The set is fixed.
type Reason string

// The reasons.
const (
	ReasonUnknown     Reason = "unknown_key"      // the registry does not know it
	ReasonVoter       Reason = "not_a_voter"      // raft from somebody who may not speak it
	ReasonReader      Reason = "only_reads"       // another protocol than HTTP from somebody who only reads
	ReasonProtocol    Reason = "unknown_protocol" // no protocol of this port, or none named
	ReasonCertificate Reason = "bad_certificate"  // none, several, or not Ed25519
	ReasonSelf        Reason = "self"             // this node dialled itself
	ReasonSlow        Reason = "slow"             // no identity proven in time
	ReasonGarbage     Reason = "garbage"          // not TLS 1.3, or broken off
	ReasonRate        Reason = "rate"             // too many handshakes from one address
	ReasonBusy        Reason = "busy"             // too many handshakes at once
	ReasonTooMany     Reason = "too_many"         // too many connections of one peer, or of joiners
	ReasonNobody      Reason = "nobody_accepts"   // the protocol's queue is full or not open
	ReasonStopping    Reason = "stopping"
)

// Stats are counts since the start, except Open, which is now.
type Stats struct {
	Accepted   map[string]uint64 // inbound connections handed over, by protocol
	Refused    map[Reason]uint64 // inbound connections turned away
	Dialled    uint64            // successful dials
	DialFailed uint64            // dials in which no endpoint answered as it should
	Open       map[string]int    // connections open now, by protocol
}

// Stats is a copy of the counters.
func (t *Transport) Stats() Stats {
	s := t.counts.copy()
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.live {
		s.Open[c.proto]++
	}
	return s
}

type counters struct {
	mu                  sync.Mutex
	accepted            map[string]uint64
	refused             map[Reason]uint64
	dialled, dialFailed uint64
}

func (c *counters) accept(proto string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepted == nil {
		c.accepted = map[string]uint64{}
	}
	c.accepted[proto]++
}

func (c *counters) refuse(r Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[Reason]uint64{}
	}
	c.refused[r]++
}

func (c *counters) dial(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dialFailed++
	} else {
		c.dialled++
	}
}

func (c *counters) copy() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{Accepted: map[string]uint64{}, Refused: map[Reason]uint64{}, Open: map[string]int{},
		Dialled: c.dialled, DialFailed: c.dialFailed}
	for k, v := range c.accepted {
		s.Accepted[k] = v
	}
	for k, v := range c.refused {
		s.Refused[k] = v
	}
	return s
}

// refusal is an error with the reason under which it is counted.
type refusal struct {
	reason Reason
	err    error
}

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

func reasonOf(err error) Reason {
	var r refusal
	if errors.As(err, &r) {
		return r.reason
	}
	// crypto/tls has no error of its own for these two.
	switch text := err.Error(); {
	case strings.Contains(text, "unsupported application protocols"):
		return ReasonProtocol
	case strings.Contains(text, "didn't provide a certificate"):
		return ReasonCertificate
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return ReasonCertificate
	}
	return ReasonGarbage
}
