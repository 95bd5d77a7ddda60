package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

func (m *Main) demoCommand() *cobra.Command {
	var countries []string
	var listings, basePort int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole federation on this machine with fictional listings",
		Long: `Run a whole federation on this machine with fictional listings, until it is
interrupted. Prints one line for each country and then "ready". Country i, from 0,
uses the port base-port+10*i for its pages, +1, +2 and +6 as every node does, and
the directory DIR/<code>, which is a node like any other: waymark status --dir
DIR/PL. Without --dir everything is removed at the end.`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringSliceVar(&countries, "countries", []string{"PL", "DE", "LT"}, "the countries")
	f.IntVar(&listings, "listings", 40, "listings of each country")
	f.IntVar(&basePort, "base-port", 8100, "port of the first country's pages")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		codes, err := demoCountries(countries)
		if err != nil {
			return err
		}
		if listings < 0 || listings > 1_000_000 {
			return usageError{fmt.Sprintf("--listings: %d is not from 0 to 1000000.", listings)}
		}
		if last := basePort + 10*(len(codes)-1) + 6; basePort < 1 || last > 65535 {
			return usageError{fmt.Sprintf("--base-port: %d leaves no room for the ports of %s.", basePort, count(len(codes), "country", "countries"))}
		}
		dir := "" // a directory of its own, unless one is asked for
		if cmd.Flags().Changed("dir") {
			dir = m.dir
		}
		return demo(cmd.Context(), demoOptions{codes, listings, dir, basePort, m.Stdout, m.Stderr})
	}
	return cmd
}

const maxDemo = 14

func demoCountries(given []string) ([]string, error) {
	var codes []string
	for _, g := range given {
		code, err := countryArg(g)
		if err != nil {
			return nil, err
		}
		if slices.Contains(codes, code) {
			return nil, usageError{fmt.Sprintf("--countries: %s stands there twice.", code)}
		}
		codes = append(codes, code)
	}
	if len(codes) == 0 || len(codes) > maxDemo {
		return nil, usageError{fmt.Sprintf("--countries: from 1 to %d, not %d.", maxDemo, len(codes))}
	}
	return codes, nil
}
