package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// fake is a node that does what a test tells it and remembers what it was asked.
type fake struct {
	control.Node // nothing that a test does not set
	asked        []string
	rows         []control.Row
	rowsErr      error
	options      control.ImportOptions
	err          error
	export       func(io.Writer) error
	joining      chan struct{}
	first        chan struct{} // closed when the first row is here
}

func (f *fake) ask(format string, args ...any) {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func (f *fake) Status(context.Context) (control.Status, error) {
	asOf := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return control.Status{Country: "PL", Federation: "Example", Members: []control.Member{
		{Country: "PL", State: control.StateSelf, Head: &control.Head{Epoch: 1, N: 2, Count: 3}, AsOf: &asOf}, {Country: "DE", State: control.StateBehind},
	}, Registry: control.Registry{Seq: 4, Voters: []control.Voter{{Node: "ab", Country: "PL"}}, Quorum: true}, Listings: 5}, f.err
}

func (f *fake) Search(_ context.Context, form map[string][]string) (json.RawMessage, error) {
	f.ask("search %v", form)
	return json.RawMessage(`{"total":0}`), f.err
}

func (f *fake) Listings(_ context.Context, filter control.Filter) ([]control.Summary, error) {
	f.ask("listings %+v", filter)
	return []control.Summary{{ID: "1"}}, f.err
}

func (f *fake) Listing(_ context.Context, id string) (json.RawMessage, error) {
	f.ask("listing %s", id)
	return json.RawMessage(`{"id":"1","unknown":{"b":1,"a":2}}`), f.err
}

func (f *fake) Check(_ context.Context, ids []string) ([]control.Checked, error) {
	f.ask("check %v", ids)
	return []control.Checked{{ID: "1", Faults: []control.Fault{{Path: "name", Code: "missing", Message: "…"}}}}, f.err
}

func (f *fake) Publish(_ context.Context, ids []string) ([]control.Summary, error) {
	f.ask("publish %v", ids)
	return []control.Summary{{ID: ids[0]}}, f.err
}

func (f *fake) Unpublish(_ context.Context, ids []string) ([]control.Summary, error) {
	f.ask("unpublish %v", ids)
	return nil, f.err
}

func (f *fake) Confirm(_ context.Context, ids []string) ([]control.Summary, error) {
	f.ask("confirm %v", ids)
	return nil, f.err
}

func (f *fake) Delete(_ context.Context, ids []string) ([]control.Summary, error) {
	f.ask("delete %v", ids)
	return nil, f.err
}

func (f *fake) Import(_ context.Context, rows iter.Seq2[control.Row, error], o control.ImportOptions) (control.ImportReport, error) {
	f.options = o
	for row, err := range rows {
		if err != nil {
			f.rowsErr = err
			return control.ImportReport{}, err
		}
		f.rows = append(f.rows, row)
		if len(f.rows) == 1 && f.first != nil {
			close(f.first)
		}
		if f.err != nil {
			return control.ImportReport{}, f.err
		}
	}
	return control.ImportReport{Added: len(f.rows)}, nil
}

func (f *fake) Export(_ context.Context, w io.Writer, o control.ExportOptions) error {
	f.ask("export %v %t", o.IDs, o.Published)
	return f.export(w)
}

func (f *fake) Invite(_ context.Context, country string, expiry time.Duration) (control.Invitation, error) {
	f.ask("invite %s %s", country, expiry)
	return control.Invitation{Code: "abcd"}, f.err
}

func (f *fake) Join(ctx context.Context, invitation string, wait bool) (control.Joined, error) {
	f.ask("join %s %t", invitation, wait)
	if wait {
		close(f.joining)
		<-ctx.Done()
		return control.Joined{}, ctx.Err()
	}
	return control.Joined{Numbers: [3]string{"1234", "5678", "9012"}}, f.err
}

func (f *fake) Pending(context.Context) ([]control.Pending, error) {
	return []control.Pending{{Country: "FI"}}, f.err
}

func (f *fake) Approve(_ context.Context, country, numbers string) (control.Pending, error) {
	f.ask("approve %s %s", country, numbers)
	return control.Pending{Country: country, Admitted: true}, f.err
}

// start serves f at a directory until the test ends.
func start(t *testing.T, dir string, f control.Node) (stop func()) {
	t.Helper()
	s, err := control.New(control.Options{Dir: dir, Node: f})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func client(t *testing.T, f *fake) *control.Client {
	t.Helper()
	dir := t.TempDir()
	start(t, dir, f)
	c := control.NewClient(dir)
	t.Cleanup(c.Close)
	return c
}

func TestEveryCommandReachesTheNode(t *testing.T) {
	f := &fake{}
	c, ctx := client(t, f), t.Context()
	var errs []error
	note := func(_ any, err error) { errs = append(errs, err) }
	note(c.Search(ctx, map[string][]string{"q": {"x"}, "country": {"PL", "DE"}}))
	note(c.Listings(ctx, control.Filter{Country: "DE", State: "published"}))
	note(c.Listing(ctx, "1"))
	note(c.Check(ctx, nil))
	note(c.Publish(ctx, []string{"1", "2"}))
	note(c.Unpublish(ctx, []string{"1"}))
	note(c.Confirm(ctx, []string{"1"}))
	note(c.Delete(ctx, []string{"1"}))
	note(c.Invite(ctx, "FI", time.Hour))
	note(c.Join(ctx, "abcd", false))
	note(c.Approve(ctx, "FI", "1 2 3"))
	note(c.Pending(ctx))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	want := `search map[country:[PL DE] q:[x]]
listings {Country:DE State:published}
listing 1
check []
publish [1 2]
unpublish [1]
confirm [1]
delete [1]
invite FI 1h0m0s
join abcd false
approve FI 1 2 3`
	if got := strings.Join(f.asked, "\n"); got != want {
		t.Errorf("the node was asked\n%s\nwant\n%s", got, want)
	}
}

func TestStatusIsTheContract(t *testing.T) {
	c := client(t, &fake{})
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"country":"PL"`, `"federation":"Example"`, `"listings":5`, `"degraded":false`, `"alarms":`,
		`"state":"self","head":{"epoch":1,"n":2,"count":3,"root":""},"as_of":"2026-11-23T12:00:00Z"`,
		`"state":"behind","head":null,"as_of":null`,
		`"registry":{"seq":4,"leader":null,"voters":[{"node":"ab","country":"PL"}],"quorum":true,"confirmed_at":null}`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in %s", want, raw)
		}
	}
}

func TestAnErrorKeepsItsParts(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want control.Error
	}{
		{"a refusal", fmt.Errorf("invite: %w", &control.Error{Class: control.Refused, Code: "c", Message: "M.", Next: "N."}), control.Error{Class: control.Refused, Code: "c", Message: "M.", Next: "N."}},
		{"wrong use", &control.Error{Class: control.Usage, Code: "c", Message: "M."}, control.Error{Class: control.Usage, Code: "c", Message: "M."}},
		{"only in part", &control.Error{Class: control.Degraded, Code: "c", Message: "M."}, control.Error{Class: control.Degraded, Code: "c", Message: "M."}},
		{"a kind of the house", fmt.Errorf("join: %w", registry.ErrInvitationExpired), control.Error{Class: control.Refused, Code: "invitation_expired",
			Message: "The invitation has expired.", Next: "Ask the country that invited you for a new one.", Detail: "join: the invitation has expired"}},
		{"anything else", errors.New("disk on fire"), control.Error{Class: control.Failed, Code: "internal", Message: "The node could not do this: disk on fire"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, &fake{err: tt.err})
			_, err := c.Invite(t.Context(), "FI", 0)
			got, ok := errors.AsType[*control.Error](err)
			if !ok || *got != tt.want {
				t.Errorf("have %+v, want %+v", err, tt.want)
			}
		})
	}
}

func rowsOf(n int, end error) iter.Seq2[control.Row, error] {
	return func(yield func(control.Row, error) bool) {
		for i := range n {
			if !yield(control.Row{Where: fmt.Sprintf("line %d", i+1), Document: json.RawMessage(`{"id":"` + strings.Repeat("x", 1000) + `"}`)}, nil) {
				return
			}
		}
		if end != nil {
			yield(control.Row{}, end)
		}
	}
}

func TestImportStreams(t *testing.T) {
	f := &fake{}
	c := client(t, f)
	o := control.ImportOptions{Publish: true, SkipBad: true, DryRun: true, Replace: true, RemoveMissing: true}
	report, err := c.Import(t.Context(), rowsOf(3000, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Added != 3000 || len(f.rows) != 3000 || f.options != o || f.rows[2999].Where != "line 3000" {
		t.Errorf("report %+v, %d rows, options %+v", report, len(f.rows), f.options)
	}
	if raw, _ := json.Marshal(report); !strings.Contains(string(raw), `"refused":[]`) {
		t.Errorf("no refusals must be an empty list: %s", raw)
	}
}

func TestImportThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	torn := errors.New("the file cannot be read any further")
	f := &fake{first: make(chan struct{})}
	dir := t.TempDir()
	stop := start(t, dir, f)
	c := control.NewClient(dir)
	defer c.Close()
	rows := func(yield func(control.Row, error) bool) {
		for row, err := range rowsOf(1000, nil) {
			if !yield(row, err) {
				return
			}
		}
		<-f.first // the node is in the middle of it
		yield(control.Row{}, torn)
	}
	if _, err := c.Import(t.Context(), rows, control.ImportOptions{}); !errors.Is(err, torn) {
		t.Errorf("the client has %v", err)
	}
	stop() // the node has seen its end of the request
	if f.rowsErr == nil {
		t.Error("the node took half the rows for all")
	}
}

func TestImportTellsWhyItWasRefusedInTheMiddle(t *testing.T) {
	full := &control.Error{Class: control.Degraded, Code: "disk_full", Message: "The disk is full.", Next: "Make room."}
	c := client(t, &fake{err: full})
	_, err := c.Import(t.Context(), rowsOf(20_000, nil), control.ImportOptions{})
	if got, ok := errors.AsType[*control.Error](err); !ok || *got != *full {
		t.Errorf("have %v", err)
	}
}

func TestAListingTooLargeIsAFaultOfItsRow(t *testing.T) {
	f := &fake{}
	c := client(t, f)
	rows := func(yield func(control.Row, error) bool) {
		big, _ := json.Marshal(strings.Repeat("x", 3<<20))
		yield(control.Row{Where: "line 1", Document: big}, nil)
	}
	if _, err := c.Import(t.Context(), rows, control.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(f.rows) != 1 || len(f.rows[0].Faults) != 1 || f.rows[0].Faults[0].Code != "too_large" {
		t.Errorf("rows %+v", f.rows)
	}
}

func TestExport(t *testing.T) {
	failed := &control.Error{Class: control.Failed, Code: "damaged", Message: "A listing is damaged.", Next: "Restore ÄÖÜ."}
	tests := []struct {
		name string
		end  error
	}{{"whole", nil}, {"failing in the middle", failed}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{export: func(w io.Writer) error {
				for range 1000 {
					if _, err := io.WriteString(w, "{\"id\":1}\n"); err != nil {
						return err
					}
				}
				return tt.end
			}}
			var out bytes.Buffer
			err := client(t, f).Export(t.Context(), &out, control.ExportOptions{IDs: []string{"1"}, Published: true})
			if tt.end == nil && err != nil || tt.end != nil && (!errors.Is(err, tt.end) || err.Error() != tt.end.Error()) {
				t.Errorf("have %v, want %v", err, tt.end)
			}
			if out.Len() != 9000 {
				t.Errorf("%d bytes arrived", out.Len())
			}
		})
	}
}

func TestNoNodeRuns(t *testing.T) {
	dir := t.TempDir()
	c := control.NewClient(dir)
	defer c.Close()
	_, err := c.Status(t.Context())
	want := fmt.Sprintf("The node in %s is not running. Start it with: waymark serve --dir %[1]s", dir)
	if !errors.Is(err, control.ErrNotRunning) || err.Error() != want {
		t.Errorf("have %v", err)
	}
	if _, err := c.Import(t.Context(), rowsOf(3, errors.New("unreadable")), control.ImportOptions{}); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("an import without a node: %v", err)
	}
	if control.Running(t.Context(), dir) {
		t.Error("it is said to be running")
	}
}

func TestTheSocketBelongsToOneNodeAndItsOwner(t *testing.T) {
	dir := t.TempDir()
	stop := start(t, dir, &fake{})
	info, err := os.Stat(filepath.Join(dir, "waymark.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	if _, err := control.New(control.Options{Dir: dir, Node: &fake{}}); !errors.Is(err, control.ErrRunning) {
		t.Errorf("a second node in the directory: %v", err)
	}
	if !control.Running(t.Context(), dir) {
		t.Error("it is said not to run")
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, "waymark.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestASocketLeftByAKilledNodeIsNoHindrance(t *testing.T) {
	dir := t.TempDir()
	first, err := control.New(control.Options{Dir: dir, Node: &fake{}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "waymark.sock")
	if err := os.Rename(path, path+".kept"); err != nil { // what kill -9 leaves: a socket that nobody answers
		t.Fatal(err)
	}
	first.Close()
	if err := os.Rename(path+".kept", path); err != nil {
		t.Fatal(err)
	}
	start(t, dir, &fake{})
	c := control.NewClient(dir)
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestADirectoryWithALongNameHasItsSocketElsewhere(t *testing.T) {
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stop := start(t, dir, &fake{})
	c := control.NewClient(dir)
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	note, err := os.ReadFile(filepath.Join(dir, "socket"))
	if err != nil || (len(run) < 70 && !strings.HasPrefix(string(note), run)) {
		t.Errorf("the note says %q, %v", note, err)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, "socket")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note is left behind: %v", err)
	}
	if left, _ := os.ReadDir(run); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAWaitingCommandHearsThatTheNodeStops(t *testing.T) {
	f := &fake{joining: make(chan struct{})}
	dir := t.TempDir()
	stop := start(t, dir, f)
	c := control.NewClient(dir)
	defer c.Close()
	got := make(chan error, 1)
	go func() {
		_, err := c.Join(t.Context(), "abcd", true)
		got <- err
	}()
	<-f.joining
	stop()
	if err := <-got; err == nil {
		t.Error("the command was told that it is done")
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("{\"r\":{\"row\":\"line 1\",\"document\":{\"id\":\"1\"}}}\n{\"done\":1}\n"))
	f.Add([]byte("{\"r\":{\"row\":\"line 1\",\"document\":null},\"size\":10}\n{\"id\":\"1\"}{\"done\":1}\n"))
	f.Add([]byte("{\"r\":{},\"size\":-1}\n{\"done\":1}\n"))
	f.Add([]byte("{\"done\":0}"))
	f.Add([]byte("{\"r\":{}}\n{\"done\":2}\n{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := &fake{}
		w := httptest.NewRecorder()
		control.Handler(n).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/import", bytes.NewReader(body)))
		whole := w.Code == http.StatusOK
		if whole != (n.rowsErr == nil) || whole && !bytes.Contains(body, []byte("done")) {
			t.Errorf("answered %d with %v", w.Code, n.rowsErr)
		}
	})
}
