package transport_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

func TestRudeVisitors(t *testing.T) {
	for _, c := range []struct {
		name   string
		visit  func(t *testing.T, c net.Conn)
		reason transport.Reason
		within time.Duration
	}{
		{"garbage", func(t *testing.T, c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") }, transport.ReasonGarbage, time.Second},
		{"an endless record", func(t *testing.T, c net.Conn) {
			io.WriteString(c, "\x16\x03\x01\xff\xff"+strings.Repeat("x", 100000))
		}, transport.ReasonGarbage, time.Second},
		{"silence", func(t *testing.T, c net.Conn) {}, transport.ReasonSlow, 6 * time.Second},
		{"a byte a second", func(t *testing.T, c net.Conn) {
			go func() {
				for _, b := range []byte("\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03") {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
		}, transport.ReasonSlow, 6 * time.Second},
		{"TLS 1.2", greet(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), transport.ReasonGarbage, time.Second},
		{"no certificate", greet(func(c *tls.Config) { c.Certificates = nil }), transport.ReasonCertificate, time.Second},
		{"another protocol", greet(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }), transport.ReasonProtocol, time.Second},
		{"no protocol", greet(func(c *tls.Config) { c.NextProtos = nil }), transport.ReasonProtocol, time.Second},
		{"two certificates", greet(func(c *tls.Config) {
			chain := c.Certificates[0].Certificate
			c.Certificates[0].Certificate = append(chain, chain[0])
		}), transport.ReasonCertificate, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(t *testing.T, p *play) {
				fi := p.member("fi")
				conn, err := p.net.Dial(t.Context(), "fi:7946")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				start := time.Now()
				c.visit(t, conn)
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(start); took > c.within {
					t.Errorf("shown out after %v, want at most %v", took, c.within)
				}
				synctest.Wait()
				time.Sleep(time.Minute) // virtual: lets every visitor go home
				if s := fi.Stats(); s.Refused[c.reason] != 1 || len(s.Refused) != 1 {
					t.Errorf("refused: %v, want one of %s", s.Refused, c.reason)
				}
			})
		})
	}
}

// greet shakes hands as a stranger with something changed.
func greet(change func(*tls.Config)) func(*testing.T, net.Conn) {
	return func(t *testing.T, c net.Conn) {
		key, err := identity.Generate(identity.RoleNode)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := key.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		cfg := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, NextProtos: []string{transport.ProtoJoin}}
		change(cfg)
		session := tls.Client(c, cfg)
		if session.HandshakeContext(t.Context()) == nil {
			_, _ = io.Copy(io.Discard, session)
		}
	}
}

func TestCrowds(t *testing.T) {
	t.Run("joiners", func(t *testing.T) {
		scene(t, func(t *testing.T, p *play) {
			fi := p.member("fi")
			echo(fi, transport.ProtoJoin)
			in := 0
			for i := range 12 {
				c, err := p.stranger(fmt.Sprint("s", i)).DialJoin(t.Context(), "fi:7946", fi.id)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := say(c, "knock"); err == nil {
					in++
				}
			}
			if in != 8 || fi.Stats().Refused[transport.ReasonTooMany] != 4 {
				t.Errorf("%d strangers at once, refused %v", in, fi.Stats().Refused)
			}
			time.Sleep(2 * time.Minute)
			if open := fi.Stats().Open[transport.ProtoJoin]; open != 0 {
				t.Errorf("%d strangers still there", open)
			}
		})
	})
	t.Run("one peer opens many", func(t *testing.T) {
		scene(t, func(t *testing.T, p *play) {
			lt, fi := p.member("lt"), p.member("fi")
			echo(fi, transport.ProtoGossip)
			in := 0
			for range 80 {
				c, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := say(c, "x"); err == nil {
					in++
				}
			}
			if in != 64 {
				t.Errorf("%d connections of one peer, want 64", in)
			}
		})
	})
	t.Run("nobody accepts", func(t *testing.T) {
		scene(t, func(t *testing.T, p *play) {
			lt, fi := p.member("lt"), p.member("fi")
			l := fi.Accept(transport.ProtoGossip)
			for range 20 {
				if _, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			time.Sleep(time.Second)
			if n := fi.Stats().Refused[transport.ReasonNobody]; n != 4 {
				t.Errorf("%d closed of 20 with a queue of 16, want 4", n)
			}
			l.Close()
			if open := fi.Stats().Open[transport.ProtoGossip]; open != 0 {
				t.Errorf("%d still open after the queue was closed", open)
			}
			echo(fi, transport.ProtoGossip) // a part that starts again
			c, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := say(c, "x"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a flood of one address", func(t *testing.T) {
		scene(t, func(t *testing.T, p *play) {
			lt, fi := p.member("lt"), p.member("fi")
			var flood []net.Conn
			for range 400 {
				c, err := p.net.Dial(t.Context(), "fi:7946")
				if err != nil {
					t.Fatal(err)
				}
				flood = append(flood, c)
				synctest.Wait()
			}
			// The others are not kept out by it.
			echo(fi, transport.ProtoGossip)
			c, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoGossip)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := say(c, "x"); err != nil {
				t.Error(err)
			}
			s := fi.Stats().Refused
			if s[transport.ReasonBusy] < 100 || s[transport.ReasonRate] < 100 {
				t.Errorf("refused: %v, want at least 100 for each of two reasons", s)
			}
			for _, c := range flood {
				c.Close()
			}
		})
	})
}
