package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/federation/identity"
)

type shownKey struct {
	Role   string `json:"role"`
	ID     string `json:"id,omitempty"`
	Public string `json:"public"`
}

type shownKeys struct {
	Country string     `json:"country"`
	Node    string     `json:"node"`
	Keys    []shownKey `json:"keys"`
}

func (m *Main) keyCommand() *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the public halves of the keys and the node's id",
		Long:  "Show the public halves of the keys and the node's id. Private keys are never shown.",
		Args:  noArgs,
	}
	out := formatFlag(show)
	show.RunE = func(*cobra.Command, []string) error {
		c, err := m.load(nil)
		if err != nil {
			return err
		}
		keys, err := readKeys(filepath.Join(m.dir, "keys"))
		if err != nil {
			return err
		}
		keys.Country = c.Country
		if out.json() {
			return printJSON(m.Stdout, keys)
		}
		fmt.Fprintf(m.Stdout, "Country  %s\nNode     %s\n\n", keys.Country, keys.Node)
		var rows [][]string
		for _, k := range keys.Keys {
			rows = append(rows, []string{k.Role, k.ID, k.Public})
		}
		return table(m.Stdout, []string{"KEY", "ID", "PUBLIC KEY"}, rows)
	}
	return group("key", "The node's keys", show, m.keyRotateCommand(), m.keyRevokeCommand(), m.keySheetCommand(), m.keyRecoverCommand(), m.keyObjectCommand())
}

func readKeys(dir string) (shownKeys, error) {
	var out shownKeys
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish, identity.RoleNode} {
		key, err := identity.LoadKey(filepath.Join(dir, string(role)+".key"), role)
		if err != nil {
			return out, err
		}
		if role == identity.RoleNode {
			out.Node = key.Public().NodeID().String()
		}
		out.Keys = append(out.Keys, shownKey{string(role), key.ID().String(), key.Public().String()})
	}
	seal, err := identity.LoadSealKey(filepath.Join(dir, "seal.key"))
	if err != nil {
		return out, err
	}
	pub := seal.Public()
	out.Keys = append(out.Keys, shownKey{Role: string(identity.RoleSeal), Public: fmt.Sprintf("%x", pub[:])})
	return out, nil
}
