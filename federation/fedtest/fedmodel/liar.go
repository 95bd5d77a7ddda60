package fedmodel

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/2ps-project/waymark/federation/identity"
)

// lies are the ways in which a node can answer its peers falsely. The bits of a
// lie step choose among them; each answer takes one of those, or is honest.
var lies = []string{"flip", "old", "empty", "half", "hang", "fail", "other", "nothing", "endless", "twist"}

// liar answers for a node, honestly or not.
type liar struct {
	honest http.Handler
	others func(identity.OriginID) identity.OriginID // another member than the one given

	mu   sync.Mutex
	rng  *rand.Rand
	ways []string
	past map[string]answer // the first answer to each question since it lies
}

// answer is what a handler said.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func newLiar(seed uint64, honest http.Handler, others func(identity.OriginID) identity.OriginID) *liar {
	return &liar{honest: honest, others: others, rng: rand.New(rand.NewPCG(seed, 0x11a7)), past: map[string]answer{}}
}

// set chooses the ways to lie; none is to be honest.
func (l *liar) set(ways int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ways = nil
	clear(l.past)
	for i, way := range lies {
		if ways>>i&1 == 1 {
			l.ways = append(l.ways, way)
		}
	}
}

func (l *liar) lying() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ways) > 0
}

// draw chooses what to do with a request: a way to lie, or "".
func (l *liar) draw() (way string, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ways) == 0 || l.rng.IntN(4) == 0 {
		return "", 0
	}
	return l.ways[l.rng.IntN(len(l.ways))], l.rng.IntN(1 << 30)
}

// ServeHTTP implements [http.Handler].
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way, number := l.draw()
	switch way {
	case "":
		l.honest.ServeHTTP(w, r)
		return
	case "hang":
		<-r.Context().Done()
		return
	case "fail":
		w.WriteHeader([]int{500, 404, 429, 410, 503}[number%5])
		return
	case "nothing":
		w.WriteHeader(http.StatusOK)
		return
	case "endless":
		junk := bytes.Repeat([]byte{byte(number)}, 32<<10)
		for range 1024 { // 32 MiB, far more than any answer may be
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
		return
	case "other":
		r = l.aside(r)
	}
	a := &answer{status: http.StatusOK}
	l.honest.ServeHTTP(a, r)
	b := a.body.Bytes()
	switch way {
	case "flip":
		if len(b) > 0 {
			b[number%len(b)] ^= 1 << (number % 8)
		}
	case "half":
		b = b[:len(b)/2]
	case "empty":
		b = nil
	case "old":
		a, b = l.before(r.URL.String(), a)
	case "twist": // what came in goes back out
		if number%2 == 0 {
			b = slices.Concat(b, b)
		} else {
			slices.Reverse(b)
		}
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(b)
}

// before is the first answer to the same question since the node began to lie.
func (l *liar) before(question string, now *answer) (*answer, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.past[question]
	if !ok {
		was = *now
		l.past[question] = was
	}
	return &was, bytes.Clone(was.body.Bytes())
}

// aside is the same request about another member's feed.
func (l *liar) aside(r *http.Request) *http.Request {
	const feeds = "/r1/o/"
	rest, ok := strings.CutPrefix(r.URL.Path, feeds)
	if !ok || len(rest) < 32 {
		return r
	}
	o, err := identity.ParseOriginID(rest[:32])
	if err != nil {
		return r
	}
	twin := r.Clone(r.Context())
	twin.URL.Path = feeds + l.others(o).String() + rest[32:]
	return twin
}
