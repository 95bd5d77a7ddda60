package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
	t       *testing.T
	country string
	path    string // where the program was put
	base    int    // five machines share one here, so each has other ports
	dir     string
	log     bytes.Buffer
	serving *exec.Cmd
}

// command is a command of README.md as this reader types it: with their country,
// their address, and the code that they were given.
func (r *reader) command(ctx context.Context, line string) *exec.Cmd {
	line = strings.ReplaceAll(line, "node.example.org:7946", fmt.Sprintf("127.0.0.1:%d --base-port %d", r.base+6, r.base))
	c := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	c.Env = append(os.Environ(), "PATH="+r.path+":"+os.Getenv("PATH"), "WAYMARK_DIR="+r.dir)
	c.Dir = r.t.TempDir()
	return c
}

// types runs a command and returns what it prints.
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

func (r *reader) must(line string) string {
	r.t.Helper()
	out, err := r.types(line)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.log.Bytes())
	}
	return out
}

// leaves has a command running, as in a terminal of its own, and goes on when it
// says that it is ready.
func (r *reader) leaves(line string) {
	r.t.Helper()
	r.serving = r.command(context.Background(), line)
	r.serving.Stderr = &r.log
	out, err := r.serving.StdoutPipe()
	if err == nil {
		err = r.serving.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	_ = r.serving.Wait()
	r.t.Fatalf("%s: %s ended before it was ready\n%s", r.country, line, r.log.Bytes())
}

func (r *reader) unplug() {
	if r.serving != nil {
		_ = r.serving.Process.Kill()
		_ = r.serving.Wait()
		r.serving = nil
	}
}

// TestREADME takes five countries from nothing to a federation by the commands that
// README.md shows, and nothing else. Between the steps two of the countries are
// unplugged and plugged in again.
func TestREADME(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; left out with -short")
	}
	run, join, found := readme(t, "## Run a node"), readme(t, "### Join one"), readme(t, "### Found one")
	shown := func(commands []string, start string) string {
		t.Helper()
		i := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, start) })
		if i < 0 {
			t.Fatalf("README.md does not show %q where it is looked for: %q", start, commands)
		}
		return commands[i]
	}
	path := t.TempDir()
	build := exec.Command("sh", "-c", strings.Replace(shown(run, "go build"), "-o waymark", "-buildvcs=false -o "+filepath.Join(path, "waymark"), 1))
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	var all []*reader
	installs := func(country string) *reader {
		t.Helper()
		r := &reader{t: t, country: country, path: path, base: freePorts(t), dir: filepath.Join(t.TempDir(), "waymark")}
		t.Cleanup(r.unplug)
		all = append(all, r)
		r.must(strings.ReplaceAll(shown(run, "waymark init"), "--country PL", "--country "+country))
		r.must(shown(run, "waymark config check"))
		return r
	}
	// eventually is somebody who reads what is said and tries again later.
	eventually := func(what string, done func() error) {
		t.Helper()
		var err error
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if err = done(); err == nil {
				return
			}
		}
		for _, r := range all {
			t.Logf("%s:\n%s", r.country, r.log.Bytes())
		}
		t.Fatalf("not within a minute: %s: %v", what, err)
	}
	serve := shown(found, "waymark serve")
	pl := installs("PL")
	pl.must(shown(found, "waymark found"))
	pl.leaves(serve)

	code := regexp.MustCompile(`\bCODE\b`)
	numbers := regexp.MustCompile(`\b\d{4} \d{4} \d{4}\b`)
	for i, country := range []string{"DE", "LT", "FI", "SE"} {
		for _, r := range all[max(i-1, 0):i] { // two that are not asked in this step, at most
			r.unplug()
			r.leaves(serve)
		}
		var invitation string
		eventually("PL invites "+country, func() (err error) {
			invitation, err = pl.types(strings.ReplaceAll(shown(join, "waymark invite"), "FI", country))
			return err
		})
		invitation = strings.TrimSpace(invitation)
		r := installs(country)
		var read string
		eventually(country+" joins", func() error {
			out, err := r.types(code.ReplaceAllLiteralString(shown(join, "waymark join CODE"), invitation))
			read = numbers.FindString(out)
			return err
		})
		r.leaves(serve)
		if i >= 2 { // from the fourth on the members sign
			if theirs := numbers.FindString(pl.must(shown(join, "waymark country pending"))); theirs != read {
				t.Fatalf("%s reads out %s, and PL has %s", country, read, theirs)
			}
			approve := strings.ReplaceAll(shown(join, "waymark country approve"), "FI", country)
			approve = numbers.ReplaceAllLiteralString(approve, read)
			for _, member := range all[:i+1] {
				if member == all[1] { // one is away, and does not have to sign
					member.unplug()
					defer member.unplug()
					continue
				}
				eventually(member.country+" approves "+country, func() error {
					_, err := member.types(approve)
					if out, other := pl.types("waymark country list"); err != nil && other == nil && strings.Contains(out, country) {
						return nil // enough have signed already
					}
					return err
				})
			}
			all[1].leaves(serve)
		}
		eventually(country+" is live", func() error {
			out, err := r.types(code.ReplaceAllLiteralString(shown(join, "waymark join CODE --wait"), invitation))
			if err == nil && !strings.Contains(out, "You are live") {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		})
	}
	status := shown(readme(t, "## Is all well?"), "waymark status")
	for _, r := range all {
		eventually(r.country+" sees five countries, and all is well", func() error {
			out, err := r.types(status)
			for _, o := range all {
				if err == nil && !strings.Contains(out, o.country) {
					err = fmt.Errorf("%s is missing in %s", o.country, out)
				}
			}
			if err == nil && !strings.HasPrefix(out, "GREEN") {
				err = fmt.Errorf("it says %s", out)
			}
			return err
		})
	}
}
