package control

import "github.com/2ps-project/waymark/federation/bundle"

// BundleOptions say what goes into a bundle.
type BundleOptions struct {
	Countries []string `json:"countries,omitempty"` // only feeds of these; empty means all
	Since     []byte   `json:"since,omitempty"`     // manifest of an earlier bundle: only what changed since
}

// BundleImport says how a bundle is taken in.
type BundleImport struct {
	Federation string `json:"federation,omitempty"` // id, hexadecimal; needed on a node that belongs to none
	DryRun     bool   `json:"dry_run,omitempty"`    // check everything, change nothing
}

// Progress is how far a bundle is read.
type Progress = bundle.Progress

// BundleReport is what was in a bundle and what became of it.
type BundleReport = bundle.Report
