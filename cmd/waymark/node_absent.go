//go:build !node

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
)

var errAbsent = errors.New("this build has no node in it; build it with: go build -tags node ./cmd/waymark")

func serve(context.Context, string, config.Config, *slog.Logger, func()) error { return errAbsent }

func found(context.Context, string, config.Config, *slog.Logger, string) error { return errAbsent }

func joinOffline(context.Context, string, config.Config, *slog.Logger, string) (control.Joined, error) {
	return control.Joined{}, errAbsent
}

type demoOptions struct {
	Countries []string
	Listings  int
	Dir       string
	BasePort  int
	Out, Err  io.Writer
}

func demo(context.Context, demoOptions) error { return errAbsent }

// makeNode writes keys first and the configuration last: a directory with a
// configuration is a whole node. What it made is removed again when it fails.
func makeNode(dir string, c config.Config) (err error) {
	if err := checkEmpty(dir); err != nil {
		return err
	}
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	if err := os.Mkdir(keys, 0o700); err != nil {
		return fmt.Errorf("make the directory of the keys: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(keys) // made above: nothing of anybody else's
		}
	}()
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish, identity.RoleNode} {
		key, err := identity.Generate(role)
		if err != nil {
			return err
		}
		if err := key.Save(filepath.Join(keys, string(role)+".key")); err != nil {
			return err
		}
	}
	seal, err := identity.GenerateSeal()
	if err != nil {
		return err
	}
	if err := seal.Save(filepath.Join(keys, "seal.key")); err != nil {
		return err
	}
	return c.Write(dir)
}

// checkEmpty refuses a directory that holds a node or a part of one. Files that
// no node makes, such as lost+found, do no harm.
func checkEmpty(dir string) error {
	for _, name := range []string{config.FileName, "keys", "store"} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look into %s: %w", dir, err)
		}
		if name == config.FileName {
			return &control.Error{Code: "node_exists",
				Message: fmt.Sprintf("%s already holds a node. Making another one there would overwrite its keys, and its country could never publish again.", dir),
				Next:    fmt.Sprintf("Look at it with: waymark status --dir %s. For a second node choose another directory with --dir.", dir)}
		}
		return &control.Error{Code: "node_exists",
			Message: fmt.Sprintf("%s holds a part of a node: %s is there, %s is not. It may be all that is left of a country's keys or listings.", dir, name, config.FileName),
			Next:    fmt.Sprintf("Restore the node from its backup, or choose another directory with --dir. If you are sure that it was never used, remove %s.", filepath.Join(dir, name))}
	}
	return nil
}
