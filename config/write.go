package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed example.toml
var example string

// Example is a whole configuration file with every key, its default and its
// meaning.
func Example() string { return example }

// ErrFileExists is returned by Write for a directory that has a configuration.
var ErrFileExists = errors.New("a configuration is already there")

// Render is the file that says c, with the explanations of [Example].
func (c Config) Render() string {
	fields := fieldsOf(&c)
	var b strings.Builder
	table := ""
	for line := range strings.Lines(example) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "["); ok {
			table = strings.TrimSuffix(name, "]") + "."
		}
		if key, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
			line = key + " = " + fields[table+key].toml() + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// Write makes DIR/waymark.toml, durable when Write returns, readable by its owner
// only. It never overwrites: [ErrFileExists].
func (c Config) Write(dir string) error {
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrFileExists, path)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.WriteString(c.Render())
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
