package replication

import (
	"strings"
	"sync"
)

// Stats are what went over the network since the start, by call. Bytes are those
// of bodies as they travel; what HTTP and TLS add is not in them.
type Stats struct {
	Asked  map[string]Traffic // what this node asked of peers
	Served map[string]Traffic // what peers asked of this node
}

// Traffic counts calls of one kind.
type Traffic struct{ Calls, Sent, Received uint64 }

// Stats is a copy of the counters.
func (r *Replicator) Stats() Stats {
	r.traffic.mu.Lock()
	defer r.traffic.mu.Unlock()
	s := Stats{Asked: make(map[string]Traffic), Served: make(map[string]Traffic)}
	for k, v := range r.traffic.asked {
		s.Asked[k] = *v
	}
	for k, v := range r.traffic.served {
		s.Served[k] = *v
	}
	return s
}

// Total sums all calls of both directions up.
func (s Stats) Total() (t Traffic) {
	for _, m := range []map[string]Traffic{s.Asked, s.Served} {
		for _, v := range m {
			t.Calls, t.Sent, t.Received = t.Calls+v.Calls, t.Sent+v.Sent, t.Received+v.Received
		}
	}
	return t
}

type traffic struct {
	mu            sync.Mutex
	asked, served map[string]*Traffic
}

func newTraffic() *traffic {
	return &traffic{asked: make(map[string]*Traffic), served: make(map[string]*Traffic)}
}

// callOf names the call that a path belongs to.
func callOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if rest, ok := strings.CutPrefix(path, "/r1/o/"); ok {
		_, name, _ := strings.Cut(rest, "/")
		if name == "heads" {
			return "chain"
		}
		return name
	}
	return strings.TrimPrefix(path, "/r1/")
}

func (t *traffic) ask(path string, calls, sent, received int) {
	t.add(t.asked, path, calls, sent, received)
}

func (t *traffic) serve(path string, calls, sent, received int) {
	t.add(t.served, path, calls, sent, received)
}

func (t *traffic) add(m map[string]*Traffic, path string, calls, sent, received int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := m[callOf(path)]
	if v == nil {
		v = new(Traffic)
		m[callOf(path)] = v
	}
	v.Calls, v.Sent, v.Received = v.Calls+uint64(calls), v.Sent+uint64(sent), v.Received+uint64(received)
}
