package check

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var versionForm = regexp.MustCompile(`^3(\.\d+){0,2}$`)

// root asks for the root of the API and for the description that it names. The
// error is [ErrUnreachable].
func (c *run) root(ctx context.Context) error {
	c.opt.Doing("root")
	a := c.get(ctx, "/", nil)
	if a.err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, a.err)
	}
	m := a.object()
	if !c.holds(a.ok() && m != nil, "base.answers", a.place, "", "%s", whyNoObject(a)) {
		return nil
	}
	c.typed(a)
	c.report.Version, _ = m["version"].(string)
	c.report.Version = short(c.report.Version, 40)
	c.holds(versionForm.MatchString(c.report.Version), "base.version", a.place, "version", "must be the version of HSDS, 3 or a later 3.x; it is %s", shown(m["version"]))
	profile, isURI := uri(m["profile"])
	c.report.Profile = short(profile, 200)
	c.holds(isURI, "base.profile", a.place, "profile", "must be a URI with its scheme, is %s", shown(m["profile"]))
	description, isURI := uri(m["openapi_url"])
	if !c.holds(isURI, "base.openapi", a.place, "openapi_url", "must be a URI with its scheme, is %s", shown(m["openapi_url"])) {
		return nil
	}
	c.description(ctx, description)
	return nil
}

// description reads the OpenAPI file. Where it lies on another host it is left
// alone: a check asks only whom it was asked to look at.
func (c *run) description(ctx context.Context, address string) {
	const rule = "base.openapi.read"
	u, err := url.Parse(address)
	if err != nil || u.Host != c.base.Host {
		c.skip(rule, "it lies on another host, which was not asked")
		return
	}
	a := c.fetch(ctx, http.MethodGet, u.String(), "GET "+address, nil, nil)
	m := a.object()
	if !a.ok() || m == nil {
		c.broken(rule, a.place, "", "%s", whyNoObject(a))
		return
	}
	c.typed(a)
	if _, ok := m["openapi"].(string); !ok {
		c.broken(rule, a.place, "openapi", "is missing: this is no description after OpenAPI 3")
		return
	}
	paths, _ := m["paths"].(map[string]any)
	for _, k := range kinds {
		found := false
		for path := range paths {
			found = found || strings.HasSuffix(path, "/"+k.name)
		}
		if found || k.required {
			c.holds(found, rule, a.place, "paths", "does not name /%s", k.name)
		}
	}
}

func whyNoObject(a *answer) string {
	if a.ok() {
		return "the answer must be an object, is " + typeName(a.value)
	}
	return a.wrong()
}

func uri(v any) (string, bool) {
	s, _ := v.(string)
	u, err := url.Parse(s)
	return s, err == nil && u.IsAbs()
}

// shown is a value in a sentence.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", short(s, 80))
	}
	if v == nil {
		return "missing"
	}
	return typeName(v)
}
