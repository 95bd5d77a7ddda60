// Package config is the one configuration file of a node: load, check, explain.
//
// The file is waymark.toml in the node's directory. [Config] is its manual, and
// [Example] is the same manual as a file. A value comes from the first of these
// that gives one: a flag of the command line, a variable of the environment
// (a small set, see [Variables]), the file, the default.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
)

// FileName is the name of the file in the node's directory.
const FileName = "waymark.toml"

// Config is what an administrator decides about one node. It is a value: read
// once, never changed while the node runs. [Default] gives the defaults named
// here. Addresses are HOST:PORT; an empty host means every address of the
// machine.
type Config struct {
	// Country is the ISO 3166-1 alpha-2 code of the country whose listings this
	// node publishes, in capitals ("PL"). Required. The key by which others know
	// this node's listings is bound to it when the node joins: changing it later
	// needs a new node.
	Country string `toml:"country"`

	// Operator is the organisation that runs the node, as readers see it at the
	// foot of every page. Required. An organisation, never a person.
	Operator string `toml:"operator"`

	// OperatorType is what kind of organisation that is, one of [OperatorTypes].
	// It goes with the request to join, and whoever approves that signs it: a
	// page of the police, of justice or of a ministry says so above everything
	// else. Empty is not stated.
	OperatorType string `toml:"operator_type"`
	// OperatorUses ends the sentence "[Operator] uses …; they may keep a record
	// of you" at the foot of every page: the hosting company, the proxy in
	// front, the DNS provider. Required as soon as the node is public, that is,
	// when public.url is set or public.listen is not a loopback address.
	OperatorUses string `toml:"operator_uses"`
	// OperatorContact is where readers can write to about what is shown or not
	// shown here: a role address, a page, a post box. May be empty.
	OperatorContact string `toml:"operator_contact"`

	Public        Public        `toml:"public"`
	Accessibility Accessibility `toml:"accessibility"`
	Admin         Admin         `toml:"admin"`
	Ops           Ops           `toml:"ops"`
	Federation    Federation    `toml:"federation"`
	Store         Store         `toml:"store"`
	Log           Log           `toml:"log"`
}

// Public is the listener of the pages that readers see, of the HSDS API and of
// the search API.
type Public struct {
	// Listen is the address of the listener. Default 127.0.0.1:8080: only this
	// machine, with a web server in front that speaks HTTPS to the world.
	Listen string `toml:"listen"`

	// URL is the address under which the world sees the pages
	// ("https://help.example.org"), without a slash at the end. Default empty:
	// the node writes addresses relative to the page.
	URL string `toml:"url"`

	// ReportText lets readers add up to 500 characters of their own to a report
	// that something is wrong with a listing. Default false: they choose from a
	// list only. It has no effect where the operator is police, justice or a
	// public authority.
	ReportText bool `toml:"report_text"`

	// SecurityContact is where people report weaknesses of this node's software or
	// machine, for /.well-known/security.txt: a mailto: or https: address. Default
	// empty: there is no such file.
	SecurityContact string `toml:"security_contact"`

	// FHIR serves the directory also as FHIR R4 under /fhir, read only, for
	// software of the health services that asks a Care Services Directory (IHE
	// mCSD). Default false: there is nothing at that address.
	FHIR bool `toml:"fhir"`
}

// Accessibility is what the operator adds to the accessibility statement that every
// page leads to (the model of Implementing Decision (EU) 2018/1523).
type Accessibility struct {
	// Prepared is the day on which the operator put the statement up, "2026-11-29".
	// Default empty: it is not said.
	Prepared string `toml:"prepared"`
	// Reviewed is the day on which the operator last looked whether the statement
	// is right, "2026-11-29". Default empty: not yet, and the statement says so.
	Reviewed string `toml:"reviewed"`
	// Contact is where readers say what does not work. Default empty: as
	// operator_contact.
	Contact Texts `toml:"contact"`
	// Enforcement is the body of the country to which readers can turn when the
	// answer does not help. Default empty: none is named.
	Enforcement Texts `toml:"enforcement"`
	// Gaps is what else is not accessible here, and why. Default empty.
	Gaps Texts `toml:"gaps"`
}

// Texts are the same words in several languages. In the file they are one text
// ("…"), whose language is not known, or a list of texts that each begin with a
// BCP 47 tag: ["pl: …", "en: …"].
type Texts []Text

// Text is one of them.
type Text struct {
	Language string // BCP 47; "" = not known
	Words    string
}

// Admin is the listener of the administrators' pages. It never shares a port
// with the public one.
type Admin struct {
	Listen string `toml:"listen"` // default 127.0.0.1:8081
}

// Ops is the listener of /livez, /readyz and /metrics.
type Ops struct {
	Listen string `toml:"listen"` // default 127.0.0.1:8082
}

// Federation is the one port by which nodes of other countries reach this one.
type Federation struct {
	// Listen is the address of the listener. Default :7946, every address of the
	// machine. Other nodes prove who they are before they can say anything.
	Listen string `toml:"listen"`

	// Advertise are the addresses that other nodes are to call, HOST:PORT, at
	// most 8, the best first. Default none: then nobody can call this node and
	// it can invite nobody; it still copies everything by calling others.
	Advertise []string `toml:"advertise"`

	// Voter says that this node may become one of the three to five that agree on
	// changes of the shared registry. Default false; init writes true. It wants
	// a machine that is up day and night and an address in Advertise. It gives
	// no say over what other countries publish.
	Voter bool `toml:"voter"`

	// OutboundOnly is for a node that can call but cannot be called (behind NAT
	// or a strict firewall). Default false. It excludes Advertise and Voter, and
	// Listen is not opened.
	OutboundOnly bool `toml:"outbound_only"`
}

// Store is the node's database, DIR/store.
type Store struct {
	// FreeSpaceFloor is the free space of the disk below which nothing more is
	// written; reading goes on. Default 512MiB. At least 64MiB, so that the
	// database can always close in good order.
	FreeSpaceFloor Size `toml:"free_space_floor"`
}

// Log is what the node says about itself on standard error. No setting makes it
// say anything about a reader.
type Log struct {
	Level string `toml:"level"` // debug, info, warn or error; default info
}

// Default is the configuration of an empty file. It is not complete: a country
// and an operator have no default.
func Default() Config {
	return Config{
		Public:     Public{Listen: "127.0.0.1:8080"},
		Admin:      Admin{Listen: "127.0.0.1:8081"},
		Ops:        Ops{Listen: "127.0.0.1:8082"},
		Federation: Federation{Listen: ":7946"},
		Store:      Store{FreeSpaceFloor: 512 << 20},
		Log:        Log{Level: "info"},
	}
}

// UseBasePort sets the four listeners to the ports of one block on loopback: n
// public, n+1 admin, n+2 ops, n+6 federation. It is how several nodes share a
// machine.
func (c *Config) UseBasePort(n int) error {
	if n < 1 || n > 65529 {
		return fmt.Errorf("the base port must be from 1 to 65529, not %d: the node also uses the ports +1, +2 and +6", n)
	}
	at := func(p int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p)) }
	c.Public.Listen, c.Admin.Listen, c.Ops.Listen, c.Federation.Listen = at(n), at(n+1), at(n+2), at(n+6)
	if len(c.Federation.Advertise) == 0 {
		c.Federation.Advertise = []string{at(n + 6)}
	}
	return nil
}

// SlogLevel is the level as package slog has it.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(l.Level)) != nil {
		return slog.LevelInfo
	}
	return level
}

// Size is an amount of bytes. As text it is a whole number with a unit of
// 1,024 steps ("512MiB", "2GiB"); a number alone counts bytes.
type Size int64

var units = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return "0B"
}

// ParseSize reads what String writes.
func ParseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if head, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(head), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is not a size; write for example 512MiB or 2GiB", text)
	}
	return Size(n * factor), nil
}
