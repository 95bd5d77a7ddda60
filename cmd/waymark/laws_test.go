package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/2ps-project/waymark"

// law forbids direct imports, with the reason.
type law struct {
	name   string
	reason string
	// broken reports whether a package of ours, named by its folder, must not
	// import what. Imports of our own are named by their folders too.
	broken func(pkg, what string) bool
	tests  bool // the law holds for tests as well
}

// laws are what keeps the parts of the house apart. They are about direct
// imports.
var laws = []law{
	{
		name:   "federation does not know node",
		reason: "feeds travel without anybody on the way knowing what a helpline is; what is agreed on there must not change with what is shown here",
		broken: func(pkg, what string) bool { return in(pkg, "federation") && (in(what, "node") || in(what, "cmd")) },
		tests:  true,
	},
	{
		name:   "the foundations import nothing of ours",
		reason: "what everybody uses must not drag anybody along: config is read by cmd and node only, listing, identity and locale are pure",
		broken: func(pkg, what string) bool {
			return slices.ContainsFunc([]string{"config", "node/listing", "federation/identity", "node/locale", "node/search"}, func(foundation string) bool {
				return in(pkg, foundation) && ours(what) && !in(what, foundation) // a parent is the front door of its children
			})
		},
	},
	{
		name:   "only cmd and node read the configuration",
		reason: "every part is given what it needs as options; a part that reads the configuration cannot be used twice in one process",
		broken: func(pkg, what string) bool {
			return what == "config" && !in(pkg, "cmd") && pkg != "node" && !kit(pkg)
		},
	},
	{
		name:   "only store reaches the database",
		reason: "one package knows the keys, the transactions and what is durable",
		broken: func(pkg, what string) bool {
			return external(what, "github.com/dgraph-io/badger") && pkg != "node/store"
		},
	},
	{
		name:   "only consensus reaches raft",
		reason: "nothing else may depend on who leads, nor take its log for the registry",
		broken: func(pkg, what string) bool {
			return (external(what, "github.com/hashicorp/raft") || external(what, "github.com/hashicorp/raft-boltdb") || external(what, "go.etcd.io/bbolt")) && pkg != "federation/consensus"
		},
	},
	{
		name:   "only gossip reaches memberlist",
		reason: "gossip carries hints; whoever reads it directly would begin to believe them",
		broken: func(pkg, what string) bool {
			return external(what, "github.com/hashicorp/memberlist") && pkg != "federation/gossip"
		},
	},
	{
		name:   "public pages know no accounts, no drafts and no federation",
		reason: "a page that cannot know who asks cannot tell",
		broken: func(pkg, what string) bool {
			return in(pkg, "node/web/public") && (in(what, "node/account") || in(what, "node/editorial") || in(what, "federation"))
		},
	},
	{
		name:   "a child does not import its parent",
		reason: "a parent is the front door of its children: it builds them, so they cannot need it",
		broken: func(pkg, what string) bool {
			return what != "" && pkg != what && in(pkg, what) && !kit(pkg) // a kit shows its parent to others' tests
		},
	},
	{
		name:   "test kits are for tests, other kits and the demonstration",
		reason: "fiction must not get into a real node",
		broken: func(pkg, what string) bool { return ours(what) && kit(what) && !kit(pkg) && !in(pkg, "cmd") },
	},
	{
		name:   "the program loads no tests",
		reason: "a package for tests in the program is code that nobody looks after in the field",
		broken: func(pkg, what string) bool {
			demo := pkg == "node/nodetest" // it runs the demonstration, in the program
			return (!kit(pkg) || demo) && (what == "testing" || external(what, "github.com/rogpeppe/go-internal"))
		},
	},
}

// in reports whether a folder is root or below it.
func in(folder, root string) bool { return folder == root || strings.HasPrefix(folder, root+"/") }

// kit reports whether a folder is a kit for tests or below one: feedtest,
// nodetest/fiction.
func kit(folder string) bool {
	return slices.ContainsFunc(strings.Split(folder, "/"), func(part string) bool { return strings.HasSuffix(part, "test") })
}

// ours reports whether an import, as laws see it, is one of this module.
func ours(what string) bool {
	return in(what, "cmd") || in(what, "config") || in(what, "federation") || in(what, "node")
}

// external reports whether an import is a module or one of its packages, in any
// major version.
func external(what, module string) bool {
	rest, ok := strings.CutPrefix(what, module)
	return ok && (rest == "" || rest[0] == '/')
}

// breaches are the imports in a tree of source files that break a law.
func breaches(tree fs.FS) ([]string, error) {
	var found []string
	files := 0
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		files++
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			what, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if rest, ok := strings.CutPrefix(what, module+"/"); ok {
				what = rest
			}
			for _, l := range laws {
				if strings.HasSuffix(name, "_test.go") && !l.tests {
					continue
				}
				if l.broken(path.Dir(name), what) {
					found = append(found, fmt.Sprintf("%s imports %s: %s, since %s", name, what, l.name, l.reason))
				}
			}
		}
		return nil
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("no source file found")
	}
	return found, err
}

func TestImportLaws(t *testing.T) {
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	found, err := breaches(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range found {
		t.Error(b)
	}
}

// TestLawsAreEnforced breaks each law once in a house of paper.
func TestLawsAreEnforced(t *testing.T) {
	tests := []struct {
		law, file string
		imports   string
		broken    bool
	}{
		{"federation does not know node", "federation/feed/x.go", module + "/node/listing", true},
		{"federation does not know node", "federation/feed/x_test.go", module + "/node/listing", true},
		{"federation does not know node", "node/catalog/x.go", module + "/federation/feed", false},
		{"the foundations import nothing of ours", "config/x.go", module + "/node/listing", true},
		{"the foundations import nothing of ours", "node/search/x.go", module + "/node/listing", true},
		{"the foundations import nothing of ours", "node/search/x.go", module + "/node/search/analysis", false},
		{"the foundations import nothing of ours", "node/search/analysis/x.go", module + "/node/listing", true},
		{"the foundations import nothing of ours", "node/search/x_test.go", module + "/node/listing", false},
		{"only cmd and node read the configuration", "node/web/x.go", module + "/config", true},
		{"only cmd and node read the configuration", "node/x.go", module + "/config", false},
		{"only store reaches the database", "node/catalog/x.go", "github.com/dgraph-io/badger/v4", true},
		{"only store reaches the database", "node/store/x.go", "github.com/dgraph-io/badger/v4/options", false},
		{"only consensus reaches raft", "node/x.go", "github.com/hashicorp/raft", true},
		{"only consensus reaches raft", "federation/registry/x.go", "github.com/hashicorp/raft-boltdb/v2", true},
		{"only consensus reaches raft", "federation/consensus/x.go", "github.com/hashicorp/raft", false},
		{"only gossip reaches memberlist", "federation/replication/x.go", "github.com/hashicorp/memberlist", true},
		{"public pages know no accounts, no drafts and no federation", "node/web/public/x.go", module + "/node/editorial", true},
		{"public pages know no accounts, no drafts and no federation", "node/web/public/x.go", module + "/federation/identity", true},
		{"public pages know no accounts, no drafts and no federation", "node/web/public/x.go", module + "/node/locale", false},
		{"a child does not import its parent", "node/web/page/x.go", module + "/node/web", true},
		{"a child does not import its parent", "node/web/x.go", module + "/node/web/page", false},
		{"test kits are for tests, other kits and the demonstration", "node/x.go", module + "/node/nodetest/fiction", true},
		{"test kits are for tests, other kits and the demonstration", "cmd/waymark/x.go", module + "/node/nodetest", false},
		{"test kits are for tests, other kits and the demonstration", "federation/feed/feedtest/x.go", module + "/federation/fedtest", false},
		{"a child does not import its parent", "federation/feed/feedtest/x.go", module + "/federation/feed", false},
		{"the program loads no tests", "node/nodetest/x.go", "testing", true},
		{"the program loads no tests", "node/x.go", "testing", true},
		{"the program loads no tests", "federation/feed/feedtest/x.go", "testing", false},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		covered[tt.law] = covered[tt.law] || tt.broken
		source := fmt.Sprintf("package x\nimport _ %q\n", tt.imports)
		found, err := breaches(fstest.MapFS{tt.file: {Data: []byte(source)}, "node/testdata/bad.go": {Data: []byte("no Go")}})
		if err != nil {
			t.Fatal(err)
		}
		broken := slices.ContainsFunc(found, func(b string) bool { return strings.Contains(b, tt.law) })
		if broken != tt.broken {
			t.Errorf("%s imports %s: breaks %q is %t, want %t (%q)", tt.file, tt.imports, tt.law, broken, tt.broken, found)
		}
	}
	for _, l := range laws {
		if !covered[l.name] {
			t.Errorf("no case shows that %q can be broken", l.name)
		}
	}
}
