package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	socketName = "waymark.sock"
	noteName   = "socket" // names the socket when it cannot stand in the directory

	// The kernel takes 107 bytes on Linux and 103 on macOS.
	longestPath = 100
	longestNote = 4096
)

// listen opens the socket of a node's directory. The caller holds the directory
// (package store lets one process in), so a socket that nobody answers is left
// over from a killed process. Close of the listener removes it.
func listen(dir string) (net.Listener, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	path, note := filepath.Join(dir, socketName), filepath.Join(dir, noteName)
	if old, err := socketPath(dir); err == nil {
		if c, err := net.Dial("unix", old); err == nil {
			c.Close()
			return nil, fmt.Errorf("%w in %s; stop it first, or use its commands while it runs", ErrRunning, dir)
		}
		removeOld(old, path)
	}
	_ = os.Remove(note)
	var elsewhere string
	if len(path) > longestPath {
		// A directory of our own, so that nobody can put a socket of theirs there.
		elsewhere, err = os.MkdirTemp(runtimeDir(), "waymark-")
		if err != nil {
			return nil, fmt.Errorf("open the control socket: %w", err)
		}
		path = filepath.Join(elsewhere, socketName)
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err == nil && elsewhere != "" {
		err = os.WriteFile(note, []byte(path+"\n"), 0o600)
	}
	if err != nil {
		if l != nil {
			l.Close()
		}
		if elsewhere != "" {
			_ = os.RemoveAll(elsewhere)
		}
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if elsewhere == "" {
		return l, nil
	}
	return &elsewhereListener{l, elsewhere, note}, nil
}

type elsewhereListener struct {
	net.Listener
	dir, note string
}

func (l *elsewhereListener) Close() error {
	err := l.Listener.Close()
	_ = os.Remove(l.note)
	_ = os.Remove(l.dir)
	return err
}

// removeOld removes a socket that nobody answers, and its directory if listen
// made one for it.
func removeOld(old, path string) {
	info, err := os.Lstat(old)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return
	}
	_ = os.Remove(old)
	if old != path {
		_ = os.Remove(filepath.Dir(old)) // only if it is empty
	}
}

// socketPath is where the socket of a directory stands.
func socketPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(dir, socketName); len(path) <= longestPath {
		return path, nil
	}
	f, err := os.Open(filepath.Join(dir, noteName))
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, longestNote))
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(raw))
	if !filepath.IsAbs(path) || len(path) > longestPath {
		return "", fmt.Errorf("%s does not name a socket: %w", filepath.Join(dir, noteName), fs.ErrNotExist)
	}
	return path, nil
}

func runtimeDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" && len(d) < longestPath-30 {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			return d
		}
	}
	return os.TempDir()
}

// dial connects to the node of a directory, or says that it is not running.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, err := socketPath(dir)
	if err == nil {
		var c net.Conn
		if c, err = new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
			return c, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, notRunning{dir}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Code: "not_owner", Message: fmt.Sprintf("The node in %s belongs to another user.", dir),
			Next: "Run the command as the user that runs the node."}
	}
	return nil, fmt.Errorf("reach the node in %s: %w", dir, err)
}
