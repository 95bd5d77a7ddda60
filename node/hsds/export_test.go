package hsds

// NumberColumn tells whether a column is read as a number.
func NumberColumn(name string) bool { return numberColumns[name] }

// MaxObjects is the limit of the objects of one service.
const MaxObjects = maxObjects
