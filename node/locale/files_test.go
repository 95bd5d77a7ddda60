package locale_test

import (
	"os"
	"testing"
)

func loadFile(t *testing.T, tag string) []byte {
	t.Helper()
	b, err := os.ReadFile("texts/" + tag + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
