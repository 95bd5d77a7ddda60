package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// fakeNode answers the command line in the way that a scene asks for: "" well,
// "degraded" in part, "stalled" as a newcomer whose copy does not go on.
type fakeNode struct {
	control.Node // what no script uses
	scene        string
}

func startFake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: fakenode DIR [SCENE]")
	}
	f := fakeNode{}
	if len(args) > 1 {
		f.scene = args[1]
	}
	s, err := control.New(control.Options{Dir: ts.MkAbs(args[0]), Node: f})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
}

func (f fakeNode) Status(context.Context) (control.Status, error) {
	asOf, leader := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), "0a"
	s := control.Status{
		Country: "PL", Federation: "Example", FederationID: "ff", Node: "0a", Role: "publisher, voter", Version: "devel",
		Members: []control.Member{
			{Country: "DE", Operator: "Beispiel e.V.", State: control.StateSynced, Head: &control.Head{Epoch: 1, N: 7, Count: 40}, AsOf: &asOf, Listings: 40},
			{Country: "PL", Operator: "Przykład", State: control.StateSelf, Head: &control.Head{Epoch: 1, N: 3, Count: 2}, AsOf: &asOf, Listings: 2},
		},
		Registry: control.Registry{Seq: 5, Leader: &leader, Voters: []control.Voter{{Node: "0a", Country: "PL"}}, Quorum: true},
		Listings: 42, Drafts: 1, Alarms: []control.Alarm{},
	}
	if f.scene == "degraded" {
		s.Degraded, s.Registry.Quorum, s.Registry.Leader = true, false, nil
		s.Alarms = []control.Alarm{{Code: "no_quorum", Text: "DE and LT cannot be reached.", Next: "Telephone their administrators."}}
	}
	if f.scene == "stalled" {
		s.Degraded, s.Listings = true, 2
		s.Members[0].State, s.Members[0].Head, s.Members[0].Copied = control.StateBehind, nil, &control.Copied{Records: 300, Of: 4000}
		s.Alarms = []control.Alarm{{Code: "stalled", Text: "The copy of the listings of DE has not got any further.", Next: "Ask the administrator of DE."}}
	}
	return s, nil
}

func (f fakeNode) Search(_ context.Context, form map[string][]string) (json.RawMessage, error) {
	if form["colour"] != nil {
		return nil, &control.Error{Class: control.Usage, Code: "unknown_facet", Message: `There is no facet "colour".`, Next: "Use one of: audience, channel."}
	}
	if len(form["country"]) == 1 && form["country"][0] == "DE" && form["q"] != nil && form["q"][0] == "chat" && form["anonymity"][0] == "full" {
		return json.RawMessage(`{"total":1,"page":1,"per_page":20,"results":[{"id":"11","country":"DE","name":"Beispiel-Chat\u001b[31m","summary":"","languages":["de","en"],"freshness":"fresh","channels":["chat",{"type":"phone"}]}],"facets":{}}`), nil
	}
	return json.RawMessage(`{"total":0,"page":1,"per_page":20,"results":[],"facets":{}}`), nil
}

func (f fakeNode) Import(_ context.Context, rows iter.Seq2[control.Row, error], o control.ImportOptions) (control.ImportReport, error) {
	var r control.ImportReport
	for row, err := range rows {
		if err != nil {
			return r, err
		}
		if doc, err := listing.ParseJSON(row.Document); err == nil { // a node judges what it takes in
			l, faults := doc.Listing()
			for _, x := range append(faults, l.CheckServe()...) {
				row.Faults = append(row.Faults, control.Fault{Path: x.Path, Code: x.Code, Message: x.Message})
			}
		} else if len(row.Faults) == 0 {
			row.Faults = append(row.Faults, control.Fault{Code: listing.CodeMalformed, Message: err.Error()})
		}
		for _, fault := range row.Faults {
			r.Refused = append(r.Refused, control.Refusal{Row: row.Where, Fault: fault})
		}
		if len(row.Faults) == 0 {
			r.Added++
		}
	}
	if len(r.Refused) > 0 && !o.SkipBad {
		r.Added = 0
	}
	if o.Publish {
		r.Published = r.Added
	}
	return r, nil
}

func (f fakeNode) Listings(context.Context, control.Filter) ([]control.Summary, error) {
	return []control.Summary{{ID: "21", Country: "PL", Name: "Telefon", State: "draft", Freshness: "due", AssuredDate: "2026-10-01"}}, nil
}

func (f fakeNode) Listing(_ context.Context, id string) (json.RawMessage, error) {
	if id != "21" {
		return nil, &control.Error{Code: "not_found", Message: fmt.Sprintf("There is no listing %s.", id), Next: "See: waymark listing list"}
	}
	return json.RawMessage(`{"name":"Telefon","id":"21","phones":[{"number":"116 111","extension":null}],"big":12345678901234567890}`), nil
}

func (f fakeNode) Check(context.Context, []string) ([]control.Checked, error) {
	return []control.Checked{{ID: "21", Name: "Telefon", Faults: []control.Fault{{Path: "channels", Code: "missing", Message: "No way to make contact is given."}}}, {ID: "22", Name: "Chat", Faults: []control.Fault{}}}, nil
}

func (f fakeNode) Publish(_ context.Context, ids []string) ([]control.Summary, error) {
	return make([]control.Summary, len(ids)), nil
}

func (f fakeNode) Export(_ context.Context, w io.Writer, _ control.ExportOptions) error {
	_, err := io.WriteString(w, "{\"id\":\"21\"}\n{\"id\":\"22\"}\n")
	if f.scene == "degraded" {
		return &control.Error{Code: "damaged", Message: "Listing 23 is damaged.", Next: "Restore it from a backup."}
	}
	return err
}

func (f fakeNode) Invite(_ context.Context, country string, expiry time.Duration) (control.Invitation, error) {
	if f.scene == "degraded" {
		return control.Invitation{}, registry.ErrCountryTaken
	}
	return control.Invitation{Code: "ABCD-EFGH", File: "/x/invitation", Country: country, Expires: time.Unix(0, 0).UTC().Add(expiry), Federation: "Example"}, nil
}

func (f fakeNode) Join(_ context.Context, invitation string, _ bool) (control.Joined, error) {
	if invitation != "ABCD EFGH" && invitation != "from a file\n" {
		return control.Joined{}, &control.Error{Class: control.Usage, Code: "not_an_invitation", Message: "This is not an invitation.", Next: "Group 2 is mistyped."}
	}
	return control.Joined{Numbers: [3]string{"1234", "5678", "9012"}, Federation: "Example", Sponsor: "PL", Admitted: f.scene != "degraded"}, nil
}

func (f fakeNode) Pending(context.Context) ([]control.Pending, error) {
	return []control.Pending{{Country: "FI", Sponsor: "PL", Operator: "Esimerkki", Numbers: [3]string{"1234", "5678", "9012"}, Approved: []string{"PL"}, Needed: 3, Expires: time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)}}, nil
}

func (f fakeNode) Approve(_ context.Context, country, numbers string) (control.Pending, error) {
	if numbers != "1234 5678 9012" {
		return control.Pending{}, &control.Error{Class: control.Refused, Code: "numbers_differ", Message: "The numbers differ.", Next: "Do not approve; telephone again."}
	}
	return control.Pending{Country: country, Approved: []string{"DE", "PL"}, Needed: 3}, nil
}
