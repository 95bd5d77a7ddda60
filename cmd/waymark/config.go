package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/config"
)

func (m *Main) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the configuration",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := m.load(nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(m.Stdout, "%s is good.\n", c.Path)
			for _, advice := range c.Advice() {
				fmt.Fprintln(m.Stdout, "Note: "+advice)
			}
			return nil
		},
	}
	example := &cobra.Command{
		Use:   "example",
		Short: "Print a whole configuration with every key, its default and its meaning",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(m.Stdout, config.Example())
			return err
		},
	}
	return group("config", "The configuration file DIR/"+config.FileName, check, m.configShowCommand(), example)
}

func (m *Main) configShowCommand() *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration as the node reads it, and where each value comes from",
		Args:  noArgs,
	}
	out := formatFlag(show)
	show.RunE = func(*cobra.Command, []string) error {
		c, err := m.load(nil)
		if err != nil {
			return err
		}
		type value struct {
			Key    string `json:"key"`
			Value  string `json:"value"` // as TOML
			Origin string `json:"origin"`
		}
		var values []value
		var rows [][]string
		for _, key := range config.Keys() {
			v := value{key, c.Get(key), c.Origins[key]}
			values = append(values, v)
			rows = append(rows, []string{v.Key, v.Value, v.Origin})
		}
		if out.json() {
			return printJSON(m.Stdout, values)
		}
		fmt.Fprintf(m.Stdout, "File: %s\n\n", filepath.Clean(c.Path))
		return table(m.Stdout, []string{"KEY", "VALUE", "FROM"}, rows)
	}
	return show
}
