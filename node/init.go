package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/locale"
)

// Init makes a node: its keys and its configuration. It writes the keys first
// and the configuration last, so that a directory with a configuration is a
// whole node; what it made is removed again when it fails. It refuses a
// directory that holds a node or a part of one.
func Init(dir string, c config.Config) error {
	return initWith(dir, c, func() error { return nil })
}

// initWith is Init with something that is done when the keys are there.
func initWith(dir string, c config.Config, then func() error) (err error) {
	if err := checkEmpty(dir); err != nil {
		return err
	}
	keys := filepath.Join(dir, dirKeys)
	_, there := os.Lstat(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	if err := os.Mkdir(keys, 0o700); err != nil {
		return fmt.Errorf("make the directory of the keys: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(keys) // made above: nothing of anybody else's
			if errors.Is(there, fs.ErrNotExist) {
				_ = os.Remove(dir)
			}
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
	if err := seal.Save(filepath.Join(keys, string(identity.RoleSeal)+".key")); err != nil {
		return err
	}
	if err := then(); err != nil {
		return err
	}
	return c.Write(dir)
}

// checkEmpty refuses a directory that holds a node or a part of one. Files that
// no node makes, such as lost+found, do no harm.
func checkEmpty(dir string) error {
	for _, name := range []string{config.FileName, dirKeys, dirStore} {
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

// IsMember reports whether the stopped node in dir belongs to a federation.
func IsMember(dir string, c config.Config) (bool, error) {
	st, err := openStore(dir, c, discard(), nil, nil)
	if err != nil {
		return false, err
	}
	last, err := st.Chain().Last()
	return last > 0, errors.Join(err, st.Close())
}

// registryOf is the registry of the stopped node in dir; nil when it belongs to no
// federation.
func registryOf(dir string, c config.Config) (s *registry.State, err error) {
	st, err := openStore(dir, c, discard(), nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	last, err := st.Chain().Last()
	if err != nil || last == 0 {
		return nil, err
	}
	entries, err := st.Chain().Entries(1, int(last))
	if err != nil {
		return nil, err
	}
	return registry.Replay(entries)
}

// Found founds a federation with this country as its first member. The node
// must be stopped, and must not be in a federation or on its way into one.
func Found(_ context.Context, dir string, c config.Config, name string, demo bool) (err error) {
	keys, err := loadKeys(dir)
	if err != nil {
		return err
	}
	if j, err := loadJoin(dir); err != nil {
		return err
	} else if j != nil {
		return &control.Error{Class: control.Refused, Code: "joining",
			Message: fmt.Sprintf("This node has asked to join the federation %q.", j.Name),
			Next:    "Wait for the answer, or make a new node in another directory to found a federation."}
	}
	st, err := openStore(dir, c, discard(), nil, nil)
	if err != nil {
		return running(dir, err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	chain := st.Chain()
	last, err := chain.Last()
	if err != nil {
		return err
	}
	if last > 0 {
		entries, err := chain.Entries(1, 1)
		if err != nil {
			return err
		}
		known := ""
		if s, err := registry.Replay(entries); err == nil {
			known = fmt.Sprintf(" %q", s.Name())
		}
		return &control.Error{Class: control.Refused, Code: "already_member",
			Message: fmt.Sprintf("This node belongs to the federation%s already. A second one would part its country from the others.", known),
			Next:    fmt.Sprintf("Run it with: waymark serve --dir %s", dir)}
	}
	if known, err := loadAcquaintances(dir); err == nil && known != nil && known.Asked != "" {
		return errWaits(known.Asked)
	}
	_, signed := os.Stat(filepath.Join(dir, fileGuard))
	if known, err := loadAcquaintances(dir); err == nil && known != nil && len(known.Nodes) > 0 || signed == nil {
		return &control.Error{Class: control.Refused, Code: "data_lost",
			Message: "This node was a member of a federation, and its data is gone. Founding another one would part its country from the others for good.",
			Next:    fmt.Sprintf("Run it with: waymark serve --dir %s. It fetches the registry and all listings back from the others; where it finds none of them, take in a bundle that another country's node has exported, with: waymark bundle import FILE --federation ID.", dir)}
	}
	founder, err := enroll.NewCandidate(c.Country, c.Operator, c.OperatorType, identity.NewOriginID(), keys.registry(), keys.seal, c.Federation.Advertise, c.Federation.Voter)
	if err != nil {
		return err
	}
	entry, s, err := registry.Found(name, demo, founder, keys.registry(), time.Now())
	if err != nil {
		return err
	}
	texts, err := locale.New()
	if err != nil {
		return err
	}
	words, err := seedVocabulary(texts)
	if err != nil {
		return err
	}
	first, err := foundingEntries(s, words, keys.admin)
	if err != nil {
		return err
	}
	for i, e := range append([]registry.Entry{entry}, first...) {
		if err := chain.Append(uint64(i+1), e.Encode()); err != nil {
			return err
		}
	}
	return nil
}
