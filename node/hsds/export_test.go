package hsds

import (
	"fmt"

	"github.com/2ps-project/waymark/node/listing"
)

// NumberColumn tells whether a column is read as a number.
func NumberColumn(name string) bool { return numberColumns[name] }

// MaxObjects is the limit of the objects of one service.
const MaxObjects = maxObjects

// Read is Rows with what a node finds wrong when it takes the services in.
func Read(path string) ([]Row, error) {
	var rows []Row
	seen := map[string]string{} // id → where
	for row, err := range Rows(path) {
		if err != nil {
			return nil, err
		}
		if row.Raw != nil {
			row = parsed(row.Raw, row.Where)
			if row.Document != nil {
				Strip(row.Document)
			}
		}
		if row.Document != nil {
			l, faults := row.Document.Listing()
			row.Faults = append(append(row.Faults, faults...), l.CheckServe()...)
			if first, twice := seen[l.ID]; twice && l.ID != "" {
				row.Faults = append(row.Faults, listing.Fault{Path: "id", Code: listing.CodeTwice, Message: fmt.Sprintf("The same id stands at %s.", first)})
			}
			seen[l.ID] = row.Where
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// MaxTotalOf makes [MaxTotal] another one until it is called.
func MaxTotalOf(n int64) (back func()) {
	maxTotal = n
	return func() { maxTotal = MaxTotal }
}
