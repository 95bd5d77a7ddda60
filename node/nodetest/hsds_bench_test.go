package nodetest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/nodetest"
	"github.com/2ps-project/waymark/node/web/api"
)

// BenchmarkHSDS asks a whole node over HTTP for every service as NDJSON, in each of
// the forms, and for one service after the other. It tells services per second, what
// one takes of the processors (the client's part included), and p50 of one by
// itself, as a client sees it and without the network. WAYMARK_LISTINGS and WAYMARK_DIR are as in BenchmarkLoad.
func BenchmarkHSDS(b *testing.B) {
	o := loadNode(b)
	f, err := nodetest.Start(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Stop()
	base := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(o.BasePort)) + "/hsds/services"
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	lines := func(b *testing.B, query string, f func([]byte)) (n int) {
		res, err := client.Get(base + "?format=ndjson" + query)
		if err != nil {
			b.Fatal(err)
		}
		defer res.Body.Close()
		in := bufio.NewScanner(res.Body)
		in.Buffer(nil, 1<<20)
		for ; in.Scan(); n++ {
			f(in.Bytes())
		}
		if in.Err() != nil || n == 0 || res.StatusCode != http.StatusOK {
			b.Fatal(res.Status, n, in.Err())
		}
		return n
	}
	var ids []string
	lines(b, "&minimal=true", func(line []byte) {
		var one struct{ ID string }
		if err := json.Unmarshal(line, &one); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, one.ID)
	})
	for _, form := range []string{"minimal", "items", "full"} {
		b.Run(form, func(b *testing.B) {
			n, bytes, used := 0, 0, processor()
			for b.Loop() {
				n += lines(b, map[string]string{"minimal": "&minimal=true", "full": "&full=true"}[form], func(line []byte) { bytes += len(line) })
			}
			used = processor() - used
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "services/s")
			b.ReportMetric(float64(used.Microseconds())/float64(n), "us-cpu/service")
			b.ReportMetric(float64(bytes)/float64(n), "bytes/service")
		})
	}
	b.Run("one", func(b *testing.B) {
		const each = 1000
		var times []time.Duration
		used := processor()
		for b.Loop() {
			for i := range each {
				start := time.Now()
				res, err := client.Get(base + "/" + ids[i*len(ids)/each])
				if err != nil {
					b.Fatal(err)
				}
				var one struct{ ID string }
				err = json.NewDecoder(res.Body).Decode(&one)
				_ = res.Body.Close()
				times = append(times, time.Since(start))
				if err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(fmt.Sprint(res.Status, err))
				}
			}
		}
		used = processor() - used
		b.ReportMetric(percentile(times, 0.5), "ms-p50")
		b.ReportMetric(float64(used.Microseconds())/float64(len(times)), "us-cpu/service")
	})
	h, err := api.New(api.Options{Catalog: f.Nodes()[0], Demo: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("one handled", func(b *testing.B) {
		const each = 1000
		var times []time.Duration
		for b.Loop() {
			for i := range each {
				r := httptest.NewRequest("GET", "/hsds/services/"+ids[i*len(ids)/each], nil)
				w := httptest.NewRecorder()
				start := time.Now()
				h.ServeHTTP(w, r)
				times = append(times, time.Since(start))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		}
		b.ReportMetric(percentile(times, 0.5), "ms-p50")
		b.ReportMetric(percentile(times, 0.99), "ms-p99")
	})
}
