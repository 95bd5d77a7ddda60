package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/control"
)

// TestFaultsOfOneKindStandOnce: a column that is wrong in the same way in a hundred
// rows is one line, with the rows.
func TestFaultsOfOneKindStandOnce(t *testing.T) {
	refused := []control.Refusal{{Row: "a.csv row 2", Fault: control.Fault{Path: "column A", Message: "Want a number."}}}
	for i := 3; i < 15; i++ {
		refused = append(refused, control.Refusal{Row: fmt.Sprintf("a.csv row %d", i), Fault: control.Fault{Path: "column B", Message: "Want a date."}})
	}
	refused = append(refused, control.Refusal{Row: "$[7]", Fault: control.Fault{Path: "column A", Message: "Want a number."}}, control.Refusal{Row: "line 8", Fault: control.Fault{Path: "", Message: "It is no JSON."}})
	want := [][]string{
		{"a.csv row 2", "column A", "Want a number. The same in 1 more row: $[7]"},
		{"a.csv row 3", "column B", "Want a date. The same in 11 more rows: 4, 5, 6, 7, 8, 9, 10, 11, …"},
		{"line 8", "", "It is no JSON."},
	}
	if got := faultRows(refused); !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("%q, want %q", got, want)
	}
	if faultRows(nil) != nil {
		t.Error("a table of no faults")
	}
}
