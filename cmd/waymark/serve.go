package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/config"
)

// serveFlags are the keys of the configuration that have a flag of serve.
var serveFlags = []struct{ key, flag, help string }{
	{"public.listen", "public-listen", "HOST:PORT of the public pages"},
	{"admin.listen", "admin-listen", "HOST:PORT of the administrators' pages"},
	{"ops.listen", "ops-listen", "HOST:PORT of /livez, /readyz and /metrics"},
	{"federation.listen", "federation-listen", "HOST:PORT for the other nodes"},
	{"log.level", "log-level", "debug, info, warn or error"},
}

func (m *Main) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the node until it is interrupted",
		Long: `Run the node until it is interrupted. Prints "ready" when the pages answer.

A flag stands above the environment (WAYMARK_PUBLIC_LISTEN and so on), which
stands above the file.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := map[string]string{}
			for _, f := range serveFlags {
				if flag := cmd.Flags().Lookup(f.flag); flag.Changed {
					given[f.key] = flag.Value.String()
				}
			}
			c, err := m.load(given)
			if err != nil {
				return err
			}
			for _, advice := range c.Advice() {
				fmt.Fprintln(m.Stderr, "waymark: "+advice)
			}
			if m.getenv("GOGC") == "" {
				debug.SetGCPercent(50) // a small machine has more time than memory
			}
			return serve(cmd.Context(), m.dir, c.Config, m.logger(c.Config), func() {
				fmt.Fprintf(m.Stdout, "%s: pages at %s\nready\n", c.Country, pagesURL(c.Config))
			})
		},
	}
	for _, f := range serveFlags {
		cmd.Flags().String(f.flag, "", f.help)
	}
	return cmd
}

func pagesURL(c config.Config) string {
	if c.Public.URL != "" {
		return c.Public.URL + "/"
	}
	return "http://" + c.Public.Listen + "/"
}
