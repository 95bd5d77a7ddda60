package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	linesAtOnce = 32               // rows that are made by one goroutine and sent at once
	linesPause  = 30 * time.Second // how long a reader may take for them
)

// lines are some rows of a list as they are sent.
type lines struct {
	b   []byte
	err error
}

// buffers are used again by the lists that are under way.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// hsdsLines sends all rows of a list, one object a line. Rows are made on all
// processors, a few ahead of what is sent, and sent in their order; memory does not
// grow with the list.
func (a *API) hsdsLines(w http.ResponseWriter, r *http.Request, l hsdsList, ask hsdsAsk) {
	ids, _, _, err := l.rows(a, r.Context(), ask, 0, -1)
	if err != nil {
		a.fault(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	if a.opt.Demo {
		h.Set("X-Waymark-Notice", demoNotice)
	}
	if r.Method == http.MethodHead {
		return
	}
	// A list takes as long as it takes: what bounds an answer was for finding its rows.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(r.Context(), func() {
		if errors.Is(r.Context().Err(), context.Canceled) {
			cancel()
		}
	})()
	control := http.NewResponseController(w)
	for made := range a.makeLines(ctx, ids, l, ask) {
		part := <-made
		if part.err != nil {
			if ctx.Err() != nil {
				return // the reader has gone
			}
			// The status has been sent: only a broken answer tells that it is not whole.
			a.opt.Logger.Error("a list could not be sent to its end", "err", part.err)
			panic(http.ErrAbortHandler)
		}
		_ = control.SetWriteDeadline(time.Now().Add(linesPause)) // not every connection has one
		_, err := w.Write(part.b)
		buffers.Put(&part.b)
		if err != nil {
			return // the reader has gone
		}
	}
}

// makeLines makes rows, each part in a goroutine of its own, and gives the parts in
// their order. It ends with ctx.
func (a *API) makeLines(ctx context.Context, ids []string, l hsdsList, ask hsdsAsk) <-chan chan lines {
	parts := make(chan chan lines, 2*runtime.GOMAXPROCS(0))
	go func() {
		defer close(parts)
		for some := range slices.Chunk(ids, linesAtOnce) {
			made := make(chan lines, 1)
			select {
			case parts <- made:
			case <-ctx.Done():
				return
			}
			go func() { made <- a.someLines(ctx, some, l, ask) }()
		}
	}()
	return parts
}

func (a *API) someLines(ctx context.Context, ids []string, l hsdsList, ask hsdsAsk) (out lines) {
	defer func() {
		if v := recover(); v != nil { // as ServeHTTP does for what runs there
			a.opt.Logger.Error("a row could not be made", "fault", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			out = lines{err: errRow}
		}
	}()
	b := (*buffers.Get().(*[]byte))[:0]
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return lines{err: err}
		}
		more, err := a.row(ctx, b, l, ask, id)
		switch {
		case err == nil:
			b = append(more, '\n')
		case !gone(err):
			return lines{err: err}
		}
	}
	return lines{b: b}
}

var errRow = errors.New("a fault of the software")
