package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
)

// goldenBundles are files that package bundle keeps for every later version.
const goldenBundles = "../../federation/bundle/testdata"

// TestBundleScripts runs the scripts of testdata/bundle. They have $BUNDLE, a
// whole bundle, and $SINCE, a difference from it.
func TestBundleScripts(t *testing.T) {
	golden, err := filepath.Abs(goldenBundles)
	if err != nil {
		t.Fatal(err)
	}
	short, err := os.MkdirTemp("", "wm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "bundle"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("BUNDLE", filepath.Join(golden, "v1.bundle"))
			env.Setenv("SINCE", filepath.Join(golden, "v1-since.bundle"))
			own, err := os.MkdirTemp(short, "")
			env.Setenv("D", own)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "jsonenv": jsonenv, "fakenode": startFake, "spoil": spoil, "ports": ports, "ready": ready, "quorum": quorum, "finds": finds,
		},
	})
}

// spoil cuts a file in two, or with "flip" changes a byte in its middle.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: spoil cut|flip FROM TO")
	}
	b := []byte(ts.ReadFile(args[1]))
	switch args[0] {
	case "cut":
		b = b[:len(b)/2]
	case "flip":
		b[len(b)/2] ^= 0x55
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b, 0o600))
}

func (f fakeNode) ExportBundle(_ context.Context, w io.Writer, o control.BundleOptions) error {
	name := "v1.bundle"
	if o.Since != nil {
		if _, err := bundle.ParseManifest(o.Since); err != nil {
			return err
		}
		name = "v1-since.bundle"
	}
	if len(o.Countries) > 0 && o.Countries[0] == "FR" {
		return bundle.ErrCountry
	}
	b, err := os.ReadFile(filepath.Join(goldenBundles, name))
	if err != nil {
		return err
	}
	if f.scene == "degraded" {
		_, _ = w.Write(b[:len(b)/2])
		return &control.Error{Class: control.Failed, Code: "disk", Message: "The feed of PL could not be read.", Next: "Check it with waymark feed check."}
	}
	_, err = w.Write(b)
	return err
}

// RebuildIndex has three listings; in the scene "degraded" it fails.
func (f fakeNode) RebuildIndex(_ context.Context, progress func(control.Progress)) (control.IndexReport, error) {
	for done := range int64(4) {
		progress(control.Progress{Stage: control.StageIndex, Done: done, Total: 3})
	}
	if f.scene == "degraded" {
		return control.IndexReport{}, errors.New("rebuild the search index: the disk cannot be read")
	}
	return control.IndexReport{Listings: 3, Took: "12ms"}, nil
}

// ImportBundle checks the file as it lies there; in the scene "degraded" one feed
// is set aside.
func (f fakeNode) ImportBundle(ctx context.Context, path string, o control.BundleImport, progress func(control.Progress)) (control.BundleReport, error) {
	if !filepath.IsAbs(path) {
		return control.BundleReport{}, errors.New("the node's working directory is another one")
	}
	file, err := os.Open(path)
	if err != nil {
		return control.BundleReport{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return control.BundleReport{}, err
	}
	if o.Federation == "" && f.scene == "empty" {
		return control.BundleReport{}, bundle.ErrWhich
	}
	var id identity.FederationID
	if o.Federation != "" {
		if id, err = identity.ParseFederationID(o.Federation); err != nil {
			return control.BundleReport{}, err
		}
	}
	report, err := bundle.Check(ctx, file, info.Size(), bundle.ImportOptions{Federation: id, Progress: progress, Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)})
	if err != nil {
		return control.BundleReport{}, err
	}
	for i := range report.Feeds {
		report.Feeds[i].Outcome = bundle.OutcomeTaken
	}
	if f.scene == "degraded" {
		report.Feeds[0].Outcome, report.Feeds[0].Reason = bundle.OutcomeAside, "of an origin that is not an active member"
	}
	report.Taken = !o.DryRun
	return *report, nil
}
