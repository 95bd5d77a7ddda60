package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node/control"
)

// load reads the configuration of the node in --dir.
func (m *Main) load(flags map[string]string) (*config.Loaded, error) {
	c, err := config.Load(config.Sources{Dir: m.dir, Env: m.Env, Flags: flags})
	if errors.Is(err, config.ErrNoFile) {
		return nil, m.noNode()
	}
	return c, err
}

func (m *Main) noNode() error {
	return &control.Error{Code: "no_node", Message: fmt.Sprintf("There is no node in %s.", m.dir),
		Next: fmt.Sprintf("Make one with: waymark init --country XX --operator NAME --dir %s", m.dir)}
}

// node is the running node in --dir. Whether it runs is found out when it is
// used.
func (m *Main) node() (*control.Client, error) {
	if _, err := os.Stat(filepath.Join(m.dir, config.FileName)); errors.Is(err, os.ErrNotExist) {
		return nil, m.noNode()
	}
	return control.NewClient(m.dir), nil
}

func (m *Main) logger(c config.Config) *slog.Logger {
	return slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: c.Log.SlogLevel()}))
}
