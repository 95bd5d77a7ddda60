package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxAdvertise = 8

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Key     string // "federation.listen"; empty when the file as a whole is meant
	Where   string // "line 12", "WAYMARK_LOG_LEVEL", "--log-level"; empty when the key is missing
	Message string // a sentence
}

// String is "line 12: federation.listen: sentence".
func (f Fault) String() string {
	var b strings.Builder
	for _, part := range []string{f.Where, f.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + f.Message
}

// Faults are all the things that are wrong with a configuration, never none.
type Faults struct {
	Path string // the file
	List []Fault
}

// Error lists every fault on a line of its own.
func (f *Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration %s cannot be used:", f.Path)
	for _, fault := range f.List {
		b.WriteString("\n  " + fault.String())
	}
	return b.String()
}

// Check is every fault of the values themselves, in the order of the file; the
// faults have no Where. None means that a node can start with them.
func (c Config) Check() []Fault {
	var faults []Fault
	fault := func(key, format string, args ...any) {
		faults = append(faults, Fault{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	if err := CheckCountry(c.Country); err != nil {
		fault("country", "%v", err)
	}
	if strings.TrimSpace(c.Operator) == "" {
		fault("operator", `the organisation that runs this node is missing; write for example operator = "Example Foundation"`)
	} else if err := checkText(c.Operator, 200); err != nil {
		fault("operator", "%v", err)
	}
	if c.OperatorType != "" && !slices.Contains(OperatorTypes(), c.OperatorType) {
		fault("operator_type", "%q is no kind of operator; write one of %s, or leave it empty", c.OperatorType, strings.Join(OperatorTypes(), ", "))
	}
	if err := checkText(c.OperatorContact, 200); err != nil {
		fault("operator_contact", "%v", err)
	}
	if err := checkText(c.OperatorUses, 500); err != nil {
		fault("operator_uses", "%v", err)
	} else if strings.TrimSpace(c.OperatorUses) == "" && c.isPublic() {
		fault("operator_uses", `this node is public, and its readers must be told who else may keep a record of their visit; write for example operator_uses = "Example Hosting (machine) and Example DNS (name)"`)
	}
	c.checkListeners(fault)
	if err := checkURL(c.Public.URL); err != nil {
		fault("public.url", "%v", err)
	}
	if a := c.Public.SecurityContact; a != "" && (checkText(a, 200) != nil || strings.Contains(a, " ") || !strings.HasPrefix(a, "mailto:") && !strings.HasPrefix(a, "https://")) {
		fault("public.security_contact", "%q is not an address to write to; write for example mailto:security@example.org or https://example.org/security", a)
	}
	c.checkAccessibility(fault)
	c.checkFederation(fault)
	if c.Store.FreeSpaceFloor < 64<<20 {
		fault("store.free_space_floor", "%v is too little; at least 64MiB must stay free so that the database can close in good order", c.Store.FreeSpaceFloor)
	}
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		fault("log.level", "%q is not a level; use one of: %s%s", c.Log.Level, strings.Join(levels, ", "), didYouMean(c.Log.Level, levels))
	}
	return faults
}

// Advice is what is allowed but probably not meant, as sentences.
func (c Config) Advice() []string {
	var advice []string
	if len(c.Federation.Advertise) == 0 && !c.Federation.OutboundOnly {
		advice = append(advice, "federation.advertise is empty: no other node can call this one, and it cannot invite. Write the address and port by which others reach it, or set federation.outbound_only = true.")
	}
	for _, l := range []struct{ key, addr string }{{"admin.listen", c.Admin.Listen}, {"ops.listen", c.Ops.Listen}} {
		if !isLoopback(l.addr) {
			advice = append(advice, l.key+" "+l.addr+" can be reached from other machines. Use 127.0.0.1 and an SSH tunnel or a VPN unless you know why not.")
		}
	}
	return advice
}

func (c Config) isPublic() bool { return c.Public.URL != "" || !isLoopback(c.Public.Listen) }

func (c Config) checkListeners(fault func(key, format string, args ...any)) {
	type listener struct{ key, addr string }
	all := []listener{{"public.listen", c.Public.Listen}, {"admin.listen", c.Admin.Listen}, {"ops.listen", c.Ops.Listen}}
	if !c.Federation.OutboundOnly {
		all = append(all, listener{"federation.listen", c.Federation.Listen})
	}
	for i, l := range all {
		host, port, err := splitAddress(l.addr)
		if err != nil {
			fault(l.key, "%v", err)
			continue
		}
		for _, earlier := range all[:i] {
			h, p, err := splitAddress(earlier.addr)
			if err == nil && p == port && port != 0 && (h == host || everyAddress(h) || everyAddress(host)) {
				fault(l.key, "%s is already taken by %s (%s); give each its own port", l.addr, earlier.key, earlier.addr)
				break
			}
		}
	}
}

func (c Config) checkFederation(fault func(key, format string, args ...any)) {
	f := c.Federation
	if len(f.Advertise) > maxAdvertise {
		fault("federation.advertise", "%d addresses are too many; at most %d", len(f.Advertise), maxAdvertise)
		return
	}
	for i, addr := range f.Advertise {
		host, port, err := splitAddress(addr)
		switch {
		case err != nil:
			fault("federation.advertise", "%v", err)
		case everyAddress(host) || port == 0:
			fault("federation.advertise", "%q names no machine that others could call; write a host name or address and a port, for example node.example.org:7946", addr)
		case slices.Contains(f.Advertise[:i], addr):
			fault("federation.advertise", "%q stands there twice", addr)
		}
	}
	if f.OutboundOnly && len(f.Advertise) > 0 {
		fault("federation.advertise", "excludes outbound_only = true: a node that cannot be called has no address to give; remove one of the two")
	}
	if f.OutboundOnly && f.Voter {
		fault("federation.voter", "true excludes outbound_only = true: the others must be able to call a voter; set one of the two to false")
	}
}

func (c Config) checkAccessibility(fault func(key, format string, args ...any)) {
	a := c.Accessibility
	for _, day := range []struct{ key, value string }{{"prepared", a.Prepared}, {"reviewed", a.Reviewed}} {
		if _, err := time.Parse(time.DateOnly, day.value); day.value != "" && err != nil {
			fault("accessibility."+day.key, "%q is not a day; write for example 2026-11-29", day.value)
		}
	}
	for _, text := range []struct {
		key   string
		value Texts
	}{{"contact", a.Contact}, {"enforcement", a.Enforcement}, {"gaps", a.Gaps}} {
		for _, t := range text.value {
			if err := checkText(t.Words, 500); err != nil {
				fault("accessibility."+text.key, "%v", err)
			}
		}
	}
}

func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not an address; write HOST:PORT, for example 127.0.0.1:8080", addr)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q has no port from 0 to 65535; write HOST:PORT, for example 127.0.0.1:8080", addr)
	}
	if len(host) > 253 || strings.ContainsAny(host, " /\t\r\n") {
		return "", 0, fmt.Errorf("%q has no usable host name; write HOST:PORT, for example 127.0.0.1:8080", addr)
	}
	return host, port, nil
}

func everyAddress(host string) bool {
	return host == "" || net.ParseIP(host).IsUnspecified()
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("%q is not a web address; write for example https://help.example.org", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return fmt.Errorf("%q must be only the beginning, without path or slash at the end: %s://%s", text, u.Scheme, u.Host)
	}
	return nil
}

func checkText(text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("is too long: %d bytes, at most %d", len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("must be one line of plain text")
	}
	return nil
}

// OperatorTypes are the kinds of organisation that run nodes.
func OperatorTypes() []string {
	return []string{"health", "charity", "university", "public_authority", "police_justice", "peer_run", "private_practice"}
}
