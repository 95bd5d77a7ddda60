package consensus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Files of recoveries.
const (
	branchFile = "generation"    // in the raft directory: under which recovery it runs
	beginFile  = "raft.recovery" // beside it: this node is to begin that one
)

func branchText(b registry.Branch) string {
	if b.Generation == 1 {
		return ""
	}
	return fmt.Sprintf("%d %s\n", b.Generation, hex.EncodeToString(b.Recovery[:]))
}

// parseBranch reads what branchText writes; anything else is the first
// generation.
func parseBranch(text []byte) registry.Branch {
	b := registry.Branch{Generation: 1}
	number, name, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.ParseUint(number, 10, 63)
	raw, err2 := hex.DecodeString(name)
	if err == nil && err2 == nil && n > 1 && len(raw) == len(b.Recovery) {
		b.Generation, b.Recovery = n, identity.Hash(raw)
	}
	return b
}

// leaveOldLog sets a raft directory of another generation aside, and marks the
// new one.
func leaveOldLog(dir string, b registry.Branch) error {
	path, want := filepath.Join(dir, branchFile), branchText(b)
	is, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(is) == want {
		return nil
	}
	if parseBranch(is).Outranks(b) {
		return errAhead
	}
	old := dir + ".superseded"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if want == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.Write(path, []byte(want))
}

// beginAnew founds the quorum of a recovery, on the node that was told to and
// nowhere else, once: with the log, the order to do so is gone.
func (v *voter) beginAnew(config *raft.Config, snapshots raft.SnapshotStore, transport raft.Transport, used, damaged bool) error {
	path := filepath.Join(v.k.Dir, beginFile)
	order, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("found the quorum anew: %w", err)
	}
	if text := branchText(v.branch); text == "" || string(order) != text {
		return nil
	}
	if !used && !damaged {
		if err := raft.BootstrapCluster(config, v.log, v.log, snapshots, transport, raft.Configuration{
			Servers: []raft.Server{{Suffrage: raft.Voter, ID: v.id, Address: address(v.k.id)}},
		}); err != nil {
			return fmt.Errorf("found the quorum anew: %w", err)
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("found the quorum anew: %w", err)
	}
	return nil
}

// streamMark is what raft's connections begin with from the second generation
// on, so that voters of two generations never talk: a leader of the old one
// could depose that of the new one. Its first byte is none of raft's messages.
func streamMark(b registry.Branch) []byte {
	if b.Generation == 1 {
		return nil
	}
	m := binary.BigEndian.AppendUint64([]byte("waymark-generation/"), b.Generation)
	return append(m, b.Recovery[:]...)
}

// markedConn refuses to be read unless it begins with the mark.
type markedConn struct {
	net.Conn
	mark []byte
	err  error
}

func marked(c net.Conn, mark []byte) net.Conn {
	if len(mark) == 0 {
		return c
	}
	return &markedConn{Conn: c, mark: mark}
}

// Read implements [net.Conn]. Raft has one reader for each connection.
func (c *markedConn) Read(b []byte) (int, error) {
	if len(c.mark) > 0 && c.err == nil {
		got := make([]byte, len(c.mark))
		if _, c.err = io.ReadFull(c.Conn, got); c.err == nil && !bytes.Equal(got, c.mark) {
			c.err = fmt.Errorf("%w: a voter of another generation", registry.ErrForeign)
		}
		c.mark = nil
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}
