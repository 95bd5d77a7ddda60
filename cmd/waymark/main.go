// Command waymark runs and looks after one node of a federated directory of
// help.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	privateFiles()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ()}
	return m.Run(ctx, os.Args[1:])
}

// Main is the command with the world it runs in.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            []string // "NAME=value"

	dir string // of the node, from --dir
}

// Run executes one command line, without the program's name, and returns its
// exit code. Nothing it does ends the process or asks a question.
func (m *Main) Run(ctx context.Context, args []string) int {
	root := m.root()
	root.SetArgs(args)
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	return m.exit(root.ExecuteContext(ctx))
}

func (m *Main) getenv(name string) string {
	for _, pair := range m.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// defaultDir is $WAYMARK_DIR, else ~/.local/share/waymark.
func (m *Main) defaultDir() string {
	if dir := m.getenv("WAYMARK_DIR"); dir != "" {
		return dir
	}
	if home := m.getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "waymark")
	}
	return "waymark"
}
