package api

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Streams reports whether a request is for a whole list at once, which takes as
// long as it takes.
func Streams(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/hsds/") && strings.Contains(r.URL.RawQuery, "format=ndjson")
}

const (
	linesAtOnce = 256              // rows made before they are sent
	linesPause  = 30 * time.Second // how long a reader may take for them
)

// hsdsLines sends all rows of a list, one object a line. Rows are made on all
// processors and sent in their order; memory does not grow with the list.
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
	control := http.NewResponseController(w)
	for len(ids) > 0 {
		n := min(linesAtOnce, len(ids))
		rows := make([][]byte, n)
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		const step = 32
		for from := 0; from < n; from += step {
			group.Go(func() error {
				for i := from; i < min(from+step, n); i++ {
					b, err := a.row(r.Context(), l, ask, ids[i])
					if err != nil && !gone(err) {
						return err
					}
					rows[i] = b
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			// The status has been sent: only a broken answer tells that it is not whole.
			a.opt.Logger.Error("a list could not be sent to its end", "err", err)
			panic(http.ErrAbortHandler)
		}
		_ = control.SetWriteDeadline(time.Now().Add(linesPause)) // not every connection has one
		for _, b := range rows {
			if b == nil {
				continue
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return // the reader has gone
			}
		}
		ids = ids[n:]
	}
}
