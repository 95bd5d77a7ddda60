package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests in this file run the real program as separate processes.

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "waymark-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "waymark")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build: %v\n%s", err, out)
	}
	return path, err
})

func binary(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// country is one country's node as its administrator has it.
type country struct {
	t    testing.TB
	bin  string
	code string
	dir  string
	base int
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// freePorts finds a base port whose block of ten is free on loopback.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		l.Close()
		free := base < 65000
		for _, p := range []int{0, 1, 2, 6} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+p))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free block of ports")
	return 0
}

func newCountry(t testing.TB, code string, advertise string) *country {
	t.Helper()
	c := &country{t: t, bin: binary(t), code: code, dir: filepath.Join(t.TempDir(), strings.ToLower(code)), base: freePorts(t), log: new(bytes.Buffer)}
	args := []string{"init", "--country", code, "--operator", "Test operator " + code, "--base-port", fmt.Sprint(c.base)}
	if advertise != "" {
		args = append(args, "--advertise", advertise)
	}
	c.must(args...)
	t.Cleanup(c.kill)
	return c
}

// configure changes a line of the configuration, before the node is served.
func (c *country) configure(was, is string) {
	c.t.Helper()
	path := filepath.Join(c.dir, "waymark.toml")
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte(was)) {
		c.t.Fatalf("%s does not stand in the configuration: %v\n%s", was, err, b)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(was), []byte(is), 1), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run runs one command to its end and returns its output and exit code.
func (c *country) run(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.bin, append(args, "--dir", c.dir)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (c *country) must(args ...string) string {
	c.t.Helper()
	out, errs, code := c.run(args...)
	if code != 0 {
		c.t.Fatalf("%s: waymark %s: exit %d\n%s%s\n%s", c.code, strings.Join(args, " "), code, out, errs, c.log)
	}
	return out
}

// serve starts the node and waits until it says that it is ready.
func (c *country) serve() {
	c.t.Helper()
	c.cmd = exec.Command(c.bin, "serve", "--dir", c.dir)
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			_ = c.cmd.Wait()
			c.t.Fatalf("%s: serve ended\n%s", c.code, c.log)
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("%s: serve is not ready after 30 s\n%s", c.code, c.log)
	}
}

// kill ends the process without warning.
func (c *country) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

type apiAnswer struct {
	Total   int `json:"total"`
	Results []struct {
		ID, Country, Name string
		AsOf              time.Time `json:"as_of"`
	} `json:"results"`
}

func (c *country) search(form url.Values) (a apiAnswer, err error) {
	resp, err := http.PostForm(fmt.Sprintf("http://127.0.0.1:%d/api/search", c.base), form)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("search: %s: %s", resp.Status, b)
	}
	return a, json.Unmarshal(b, &a)
}

// finds reports whether the node finds exactly one listing of a name now.
func (c *country) finds(name string) bool {
	a, err := c.search(url.Values{"q": {`"` + name + `"`}})
	return err == nil && a.Total == 1 && len(a.Results) == 1 && a.Results[0].Name == name
}

// within waits for a condition of another process.
func within(t testing.TB, d time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > d {
			t.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
	return time.Since(start)
}

// publish imports one plain HSDS service and publishes it.
func (c *country) publish(id, name string) {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "service.json")
	doc := fmt.Sprintf(`{"id":%q,"name":%q,"status":"active","organization":{"id":"0b1c64e2-0f0f-4d3f-9a3e-3b8f0a5f7c11","name":"Example organization","description":"For tests"}}`, id, name)
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.must("listing", "import", path, "--publish")
}

// cable is a connection between one node's advertised address and its port,
// which can be pulled out.
type cable struct {
	listener net.Listener

	mu    sync.Mutex
	to    string // where it leads
	cut   bool
	conns map[net.Conn]bool
}

func newCable(t testing.TB) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &cable{listener: l, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close(); k.pull() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go k.carry(conn)
		}
	}()
	return k
}

func (k *cable) address() string { return k.listener.Addr().String() }

// plugInto says where the cable leads. Before that it leads nowhere.
func (k *cable) plugInto(address string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.to = address
}

func (k *cable) carry(a net.Conn) {
	defer a.Close()
	k.mu.Lock()
	if k.cut {
		k.mu.Unlock()
		return
	}
	b, err := net.Dial("tcp", k.to)
	if err != nil {
		k.mu.Unlock()
		return
	}
	k.conns[a], k.conns[b] = true, true
	k.mu.Unlock()
	go func() { _, _ = io.Copy(b, a); b.Close() }()
	_, _ = io.Copy(a, b)
	b.Close()
	k.mu.Lock()
	delete(k.conns, a)
	delete(k.conns, b)
	k.mu.Unlock()
}

func (k *cable) pull() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.conns {
		c.Close()
	}
}

func (k *cable) plug() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
}
