// Package peerbench asks the same questions of this search, of SQLite FTS5 and
// of bleve, in one run. It is a module of its own, so that neither gets into
// the program or its tests:
//
//	cd node/search/internal/peerbench
//	WAYMARK_BENCH_DOCS=100000 go test -tags sqlite_fts5 -bench . -benchtime 100x
package peerbench
