package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/transport"
)

func TestHTTP(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		url := "https://" + fi.id.String()
		get := func(path string) (int, string, error) {
			resp, err := lt.Client().Get(url + path)
			if err != nil {
				return 0, "", err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return resp.StatusCode, string(b), err
		}
		if status, _, err := get("/"); err != nil || status != 503 {
			t.Errorf("before there is a handler: %d %v", status, err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
			id, ok := transport.PeerOf(r.Context())
			fmt.Fprint(w, id, ok, r.Proto)
		})
		mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/who", http.StatusFound) })
		mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err != nil)
		})
		fi.ServeHTTP(mux)
		if _, body, err := get("/who"); err != nil || body != lt.id.String()+" trueHTTP/2.0" {
			t.Errorf("/who: %q %v", body, err)
		}
		if status, _, _ := get("/away"); status != http.StatusFound {
			t.Errorf("a redirect was followed: status %d", status)
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, _, err := get("/who"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := fi.Stats().Accepted[transport.ProtoHTTP]; n != 1 {
			t.Errorf("%d connections for 53 requests, want 1", n)
		}
		resp, err := lt.Client().Post(url+"/read", "text/plain", io.LimitReader(zeros{}, transport.MaxRequestBody+1))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprint(transport.MaxRequestBody, true); string(body) != want {
			t.Errorf("a body too large: the handler read %q, want %q", body, want)
		}
		huge, _ := http.NewRequest("GET", url+"/who", nil)
		huge.Header.Set("X-Huge", strings.Repeat("x", 64<<10))
		if resp, err := lt.Client().Do(huge); err == nil && resp.StatusCode == 200 {
			t.Error("64 KiB of headers were accepted")
		}
		if _, err := lt.Client().Get("https://example.org/"); err == nil {
			t.Error("a URL without a node id was fetched")
		}
		if _, err := lt.Client().Get("http://" + fi.id.String() + "/"); err == nil {
			t.Error("a URL of another scheme was fetched")
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestSilentPeerIsNoticed(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		hang := make(chan bool)
		fi.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				hang <- true
				<-r.Context().Done()
			}
		}))
		go func() { <-hang; p.net.Cut("lt", "fi") }()
		start := time.Now()
		_, err := lt.Client().Get("https://" + fi.id.String() + "/hang")
		if took := time.Since(start); err == nil || took > 15*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		time.Sleep(20 * time.Second)
		if open := fi.Stats().Open[transport.ProtoHTTP]; open != 0 {
			t.Errorf("the server still holds %d connections", open)
		}
		p.net.Heal("lt", "fi")
		resp, err := lt.Client().Get("https://" + fi.id.String() + "/")
		if err != nil {
			t.Fatalf("after healing: %v", err)
		}
		resp.Body.Close()
	})
}

// TestStaleConnection has the server's machine restart between two requests.
func TestStaleConnection(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.stranger("fi")
		p.dir.put(fi.peer())
		fi.ServeHTTP(http.NotFoundHandler())
		for range 3 {
			resp, err := lt.Client().Get("https://" + fi.id.String() + "/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			p.dir.remove(lt.id) // closes the connection without a word
			fi.Recheck()
			p.dir.put(lt.peer())
		}
		if n := fi.Stats().Accepted[transport.ProtoHTTP]; n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
	})
}
