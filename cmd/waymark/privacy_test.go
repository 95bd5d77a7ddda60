package main_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNothingIsKeptAboutReaders sends a thousand requests, odd ones among them,
// each with a word that stands nowhere else, in every place in which a reader
// can say something. Then it reads what the node has printed and every byte of
// its directory: the word is in none of it, whatever the answer was.
func TestNothingIsKeptAboutReaders(t *testing.T) {
	pl := newCountry(t, "PL", "")
	pl.must("found", "--name", "Odd requests")
	pl.configure("report_text = false", "report_text = true")
	pl.serve()
	pl.publish("11111111-1111-4111-8111-111111111111", "Telefon Zaufania")

	// No letters that a search would take for another word, and no accident.
	const word = "Qzxvw7Reader9Qzxvw"
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	address := fmt.Sprintf("127.0.0.1:%d", pl.base)
	dice := rand.New(rand.NewPCG(6, 4))
	paths := []string{
		"/", "/en/", "/pl/in/pl", "/en/in/ie", "/en/s/11111111-1111-4111-8111-111111111111", "/en/safety", "/leave", "/en/in/pl/poster",
		"/en/in/pl/feed.atom", "/en/in/pl/feed/7.atom", "/en/in/pl/feed/" + word + ".atom", "/en/s/11111111-1111-4111-8111-111111111111.jsonld", "/sitemap.xml", "/en/embed", "/pl/accessibility",
		"/.well-known/security.txt", "/en/report/" + word, "/fhir/" + word,
		"/en/search", "/api/search", "/api/listings/" + word, "/hsds/services", "/" + word, "/en/s/" + word, "/en/in/" + word, "/" + word + "/in/pl",
		"/en/../../" + word, "/%00" + word, "/en/s/%2e%2e%2f" + word, "//" + word + "/", "/readyz/" + word, "/.git/" + word, "/en/s/" + strings.Repeat(word, 60),
	}
	methods := []string{"GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", word}
	statuses := map[int]int{}
	for i := range 900 {
		path, method := paths[dice.IntN(len(paths))], methods[dice.IntN(len(methods))]
		u := &url.URL{Scheme: "http", Host: address, Opaque: path}
		if dice.IntN(2) == 0 {
			u.RawQuery = "q=" + word + "&utm_source=" + word + "&anonymity=" + word
		}
		var body io.Reader
		kind := "application/x-www-form-urlencoded"
		switch dice.IntN(4) {
		case 0:
			body = strings.NewReader(url.Values{"q": {"telefon " + word}, "door": {"self"}, "country": {"IE"}, "channel": {word}, "snapshot": {word}, "page": {fmt.Sprint(dice.IntN(4))}}.Encode())
		case 1:
			kind, body = "application/json", strings.NewReader(`{"q":"`+word+`","facets":{"`+word+`":["x"]}}`)
		case 2:
			kind, body = "multipart/form-data; boundary="+word, strings.NewReader(strings.Repeat(word, dice.IntN(2000)))
		}
		r, err := http.NewRequest(method, u.String(), body)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		r.Header.Set("Content-Type", kind)
		for _, name := range []string{"User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Accept-Language", "If-None-Match", "Authorization", "Origin"} {
			r.Header.Set(name, word+fmt.Sprint(i))
		}
		answer, err := client.Do(r)
		if err != nil {
			continue // refused before it was read: that is an answer, too
		}
		if c := answer.Header["Set-Cookie"]; c != nil {
			t.Errorf("%s %s sets a cookie: %v", method, path, c)
		}
		statuses[answer.StatusCode]++
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	for i := range 100 { // what no client would send
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, []string{
			"GET /" + word + "\r\n\r\n", word + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: " + word + "\r\nHost: " + word + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(word, 4000) + "\r\n\r\n", "\x16\x03\x01" + word,
			"POST /en/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nq=" + word,
			"POST /en/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + word,
		}[i%7])
		if i%7 == 5 {
			_ = conn.Close() // goes away in the middle
			continue
		}
		_ = conn.(*net.TCPConn).CloseWrite() // nothing more comes: no need to wait for it
		if a, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			statuses[a.StatusCode]++
			_ = a.Body.Close()
		}
		_ = conn.Close()
	}
	for _, want := range []int{200, 303, 400, 404, 405} {
		if statuses[want] == 0 {
			t.Errorf("no answer had the status %d: the requests were not as odd as meant (%v)", want, statuses)
		}
	}
	const service = "11111111-1111-4111-8111-111111111111"
	answer, err := client.PostForm("http://"+address+"/en/report/"+service, url.Values{"choice": {"no_answer"}, "text": {word}})
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("a report is not taken: %v, %v", answer, err)
	}
	_ = answer.Body.Close()
	// It is kept for the editors, and nobody else can read it in what follows.
	if out := pl.must("report", "list", "-o", "json"); !strings.Contains(out, word) || !strings.Contains(out, `"no_answer"`) || !strings.Contains(out, service) {
		t.Errorf("the editors see %s", out)
	}
	if !pl.finds("Telefon Zaufania") {
		t.Error("the node does not answer any more")
	}

	if err := pl.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := pl.cmd.Wait(); err != nil {
		t.Errorf("the node did not end well: %v", err)
	}
	pl.cmd = nil
	out := pl.log.String()
	forms := [][]byte{[]byte(word), []byte(hex.EncodeToString([]byte(word))), []byte(base64.StdEncoding.EncodeToString([]byte(word)))[:20]}
	look := func(where string, b []byte) {
		b = bytes.ToLower(b)
		for _, f := range forms {
			if at := bytes.Index(b, bytes.ToLower(f)); at >= 0 {
				t.Errorf("%s tells of a reader: %q", where, b[max(at-60, 0):min(at+80, len(b))])
			}
		}
	}
	look("what the node printed", []byte(out))
	if strings.Contains(out, "/en/search") || strings.Contains(out, "/api/listings/") {
		t.Errorf("what the node printed names pages: %s", out)
	}
	files, seen := 0, false
	err = filepath.WalkDir(pl.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		look(d.Name(), []byte(d.Name()))
		b, err := os.ReadFile(path)
		if err == nil {
			look(path, b)
			seen = seen || bytes.Contains(b, []byte("Telefon Zaufania"))
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files were read: %v", files, err)
	}
	if !seen {
		t.Error("the directory does not even show what was published: this test could not see what is kept")
	}
}
