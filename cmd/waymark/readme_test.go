package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// readme are the commands that a section of README.md shows, in its order: those that
// stand in a line of their own, without what is said beside them, and those in
// running text.
func readme(t *testing.T, section string) (commands []string) {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n"+section+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", section)
	}
	level := section[:strings.Index(section, " ")+1]
	if next := regexp.MustCompile(`(?m)^#{1,` + fmt.Sprint(len(level)-1) + `} `).FindStringIndex(text); next != nil {
		text = text[:next[0]]
	}
	shown := regexp.MustCompile("(?m)^ {4,}(waymark .*)$|`((?:waymark|go build) [^`]*)`")
	for _, m := range shown.FindAllStringSubmatch(text, -1) {
		command := strings.TrimSpace(m[1] + m[2])
		if at := strings.Index(command, "   "); at > 0 {
			command = command[:at] // what it does stands beside it
		}
		commands = append(commands, strings.ReplaceAll(command, "\n", " "))
	}
	return commands
}

// reader is somebody who follows README.md on a machine of their own, which has
// nothing but its directory.
type reader struct {
	country string
	path    string // where the program was put
	base    int    // five machines share one here, so each has other ports
	dir     string
	serve   string // the command that README.md shows

	mu      sync.Mutex
	log     bytes.Buffer // guarded by the process that writes it
	serving *exec.Cmd
}

// command is a command of README.md as this reader types it: with their country,
// their address, and the code that they were given.
func (r *reader) command(ctx context.Context, line string) *exec.Cmd {
	line = strings.ReplaceAll(line, "node.example.org:7946", fmt.Sprintf("127.0.0.1:%d --base-port %d", r.base+6, r.base))
	c := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	c.Env = append(os.Environ(), "PATH="+r.path+":"+os.Getenv("PATH"), "WAYMARK_DIR="+r.dir)
	c.Dir = filepath.Dir(r.dir)
	return c
}

// types runs a command and returns what it prints. What goes wrong is said in
// words, with what to do.
func (r *reader) types(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := r.command(ctx, line)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w\n%s%s", r.country, line, err, out, errs.Bytes())
	}
	return string(out), err
}

// plug has the node running, as in a terminal of its own, and returns when it says
// that it is ready.
func (r *reader) plug() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving != nil {
		return nil
	}
	c := r.command(context.Background(), r.serve)
	r.log.Reset()
	c.Stderr = &r.log
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			r.serving = c
			return nil
		}
	}
	_ = c.Wait()
	return fmt.Errorf("%s: %s ended before it was ready\n%s", r.country, r.serve, r.log.Bytes())
}

// unplug ends the node without warning.
func (r *reader) unplug() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving != nil {
		_ = r.serving.Process.Kill()
		_ = r.serving.Wait()
		r.serving = nil
	}
}

// readers are those who follow README.md together.
type readers struct {
	t                *testing.T
	run, join, found []string // the commands that README.md shows
	path             string
	all              []*reader
	said             map[string]int // what went wrong meanwhile, by its first line
}

func newReaders(t *testing.T) *readers {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	f := &readers{
		t: t, run: readme(t, "## Run a node"), join: readme(t, "### Join one"), found: readme(t, "### Found one"), path: t.TempDir(), said: make(map[string]int),
	}
	build := exec.Command("sh", "-c", strings.Replace(f.shown(f.run, "go build"), "-o waymark", "-buildvcs=false -o "+filepath.Join(f.path, "waymark"), 1))
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return f
}

// shown is the first of some commands with this beginning.
func (f *readers) shown(commands []string, start string) string {
	f.t.Helper()
	i := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, start) })
	if i < 0 {
		f.t.Fatalf("README.md does not show %q where it is looked for: %q", start, commands)
	}
	return commands[i]
}

// installs makes another country's node.
func (f *readers) installs(country string) *reader {
	f.t.Helper()
	r := &reader{country: country, path: f.path, base: freePorts(f.t), dir: filepath.Join(f.t.TempDir(), "waymark"), serve: f.shown(f.found, "waymark serve")}
	f.t.Cleanup(r.unplug)
	for _, line := range []string{strings.ReplaceAll(f.shown(f.run, "waymark init"), "--country PL", "--country "+country), f.shown(f.run, "waymark config check")} {
		if _, err := r.types(line); err != nil {
			f.t.Fatal(err)
		}
	}
	f.all = append(f.all, r)
	return r
}

var firstLine = regexp.MustCompile(`(?m)^waymark: (.*)\n(?:\(.*\)\n)?(.*)`)

// eventually is somebody who reads what is said and tries again later.
func (f *readers) eventually(what string, done func() error) {
	f.t.Helper()
	var err error
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = done(); err == nil {
			return
		}
		m := firstLine.FindStringSubmatch(err.Error())
		switch {
		case strings.Contains(err.Error(), "goroutine "), m != nil && m[2] == "" && !strings.Contains(m[1], "Start it with: waymark serve"):
			f.t.Errorf("%s: this tells nobody what to do: %v", what, err)
		case m != nil:
			f.said[m[1]]++
		}
	}
	for _, r := range f.all {
		r.unplug() // its log is whole then
		f.t.Logf("%s:\n%s", r.country, r.log.Bytes())
	}
	f.t.Fatalf("not within a minute and a half: %s: %v", what, err)
}

var (
	theCode    = regexp.MustCompile(`\bCODE\b`)
	theNumbers = regexp.MustCompile(`\b\d{4} \d{4} \d{4}\b`)
)

// become takes five countries from nothing to a federation. Each step is handed to
// around, which does it.
func (f *readers) become(around func(step string, do func())) {
	f.t.Helper()
	does := func(r *reader, line string, into *string) func() error {
		return func() error {
			out, err := r.types(line)
			if err == nil && into != nil {
				*into = out
			}
			return err
		}
	}
	pl := f.installs("PL")
	f.eventually("PL founds", does(pl, f.shown(f.found, "waymark found"), nil))
	f.eventually("PL runs", pl.plug)
	for i, country := range []string{"DE", "LT", "FI", "SE"} {
		var invitation, said, pending string
		around("PL invites "+country, func() {
			f.eventually("PL invites "+country, does(pl, strings.ReplaceAll(f.shown(f.join, "waymark invite"), "FI", country), &invitation))
		})
		r := f.installs(country)
		join := func(line string) string {
			return theCode.ReplaceAllLiteralString(f.shown(f.join, line), strings.TrimSpace(invitation))
		}
		around(country+" joins", func() { f.eventually(country+" joins", does(r, join("waymark join CODE"), &said)) })
		f.eventually(country+" runs", r.plug)
		if i >= 2 { // from the fourth on the members sign
			read := theNumbers.FindString(said)
			around("PL looks who knocked", func() {
				f.eventually("PL looks who knocked", does(pl, f.shown(f.join, "waymark country pending"), &pending))
			})
			if theirs := theNumbers.FindString(pending); theirs != read {
				f.t.Fatalf("%s reads out %s, and PL has %s", country, read, theirs)
			}
			approve := strings.ReplaceAll(f.shown(f.join, "waymark country approve"), "FI", country)
			approve = theNumbers.ReplaceAllLiteralString(approve, read)
			for _, member := range f.all[:i+1] {
				what := member.country + " approves " + country
				around(what, func() {
					f.eventually(what, func() error {
						_, err := member.types(approve)
						if err == nil || strings.Contains(err.Error(), "Signed, and kept here") {
							return nil
						}
						var out string
						if out, err = member.types("waymark country list"); err == nil && strings.Contains(out, country) {
							return nil // enough have signed already
						}
						return err
					})
				})
			}
		}
		around(country+" is live", func() {
			f.eventually(country+" is live", func() error {
				out, err := r.types(join("waymark join CODE --wait"))
				if err == nil && !strings.Contains(out, "You are live") {
					err = fmt.Errorf("it says %q", out)
				}
				return err
			})
		})
	}
	status := f.shown(readme(f.t, "## Is all well?"), "waymark status")
	for _, r := range f.all {
		f.eventually(r.country+" sees five countries, and all is well", func() error {
			out, err := r.types(status)
			for _, o := range f.all {
				if err == nil && strings.Count(out, "\n"+o.country+" ") != 1 {
					err = fmt.Errorf("%s stands not once in %s", o.country, out)
				}
			}
			if err == nil && !strings.HasPrefix(out, "GREEN") {
				err = fmt.Errorf("it says %s", out)
			}
			return err
		})
	}
}

// TestREADME takes five countries from nothing to a federation by the commands that
// README.md shows, and nothing else.
func TestREADME(t *testing.T) {
	newReaders(t).become(func(_ string, do func()) { do() })
}

// TestREADMEUnplugged is the same while two of the countries, others each time, lose
// their power in the middle of each step and come back a moment later.
func TestREADMEUnplugged(t *testing.T) {
	if os.Getenv("CI") != "true" {
		t.Skip("left out: runs real processes for a minute; set CI=true for it")
	}
	f := newReaders(t)
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("WAYMARK_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("WAYMARK_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	f.become(func(step string, do func()) {
		who := slices.Clone(f.all)
		chance.Shuffle(len(who), func(i, j int) { who[i], who[j] = who[j], who[i] })
		who = who[:min(2, len(who))]
		wait, off := time.Duration(chance.IntN(400))*time.Millisecond, time.Duration(200+chance.IntN(3000))*time.Millisecond
		var back sync.WaitGroup
		back.Go(func() {
			time.Sleep(wait) // the step is another process
			for _, r := range who {
				r.unplug()
			}
			time.Sleep(off)
			for _, r := range who {
				var err error
				for range 100 { // a command may have its data open
					if err = r.plug(); err == nil {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		do()
		back.Wait()
	})
	for what, n := range f.said {
		t.Logf("%d times: %s", n, what)
	}
}
