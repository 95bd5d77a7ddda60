package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/2ps-project/waymark/node/hsds/profile"
	"github.com/2ps-project/waymark/node/hsds/schema"
)

// describedByHand is the description of everything but the lists of HSDS.
//
//go:embed openapi.json
var describedByHand []byte

// openAPI sends the description of all APIs. That of the lists is made from
// what answers them, so it cannot say anything else.
func (a *API) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	a.send(w, r, description())
}

var description = sync.OnceValue(func() []byte {
	var doc map[string]any
	if err := json.Unmarshal(describedByHand, &doc); err != nil {
		panic(fmt.Sprintf("api: openapi.json: %v", err)) // part of this program, seen by every test
	}
	paths, _ := doc["paths"].(map[string]any)
	components, _ := doc["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for _, object := range schema.Objects() {
		s := profile.Schema(object)
		delete(s, "$schema")
		references(s, object)
		schemas[object] = s
	}
	paths["/hsds"] = map[string]any{"get": operation("What this API is", nil, content("application/json", map[string]any{
		"type": "object", "required": []any{"version", "profile", "openapi_url"},
		"properties": map[string]any{"version": text(""), "profile": uriText(), "openapi_url": uriText()},
	}))}
	for _, l := range hsdsLists {
		describeList(paths, l)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err) // a tree of texts, numbers and lists
	}
	return b
})

func describeList(paths map[string]any, l hsdsList) {
	item := map[string]any{"$ref": "#/components/schemas/" + l.object}
	page := content("application/json", map[string]any{"allOf": []any{
		map[string]any{"$ref": "#/components/schemas/Page"},
		map[string]any{"type": "object", "properties": map[string]any{"contents": map[string]any{"type": "array", "items": item}}},
	}})
	page["application/x-ndjson"] = map[string]any{"schema": item}
	names := append(slices.Clone(common), l.params...)
	slices.Sort(names)
	var params []any
	for _, name := range names {
		p := map[string]any{"name": name, "in": "query"}
		for k, v := range described[name] {
			p[k] = v
		}
		params = append(params, p)
	}
	title := strings.ReplaceAll(l.name, "_", " ")
	post := operation("The list of "+title+", asked without writing the question into the address", params, page)
	fields := map[string]any{}
	for _, name := range names {
		fields[name] = described[name]["schema"]
	}
	form := map[string]any{"schema": map[string]any{"type": "object", "additionalProperties": false, "properties": fields}}
	post["requestBody"] = map[string]any{
		"description": "The same parameters; one that stands in the address too counts as it is here.",
		"content":     map[string]any{"application/x-www-form-urlencoded": form, "application/json": form},
	}
	answers := post["responses"].(map[string]any)
	answers["413"], answers["415"] = answers["400"], answers["400"]
	paths["/hsds/"+l.name] = map[string]any{"get": operation("The list of "+title, params, page), "post": post}
	id := []any{map[string]any{"name": "id", "in": "path", "required": true, "schema": text("")}}
	if slices.Contains(l.params, "full_service") {
		id = append(id, map[string]any{"name": "full_service", "in": "query", "description": described["full_service"]["description"], "schema": described["full_service"]["schema"]})
	}
	paths["/hsds/"+l.name+"/{id}"] = map[string]any{"get": operation("One of the "+title, id, content("application/json", item))}
}

// described says of each parameter what it is. A parameter of a list that is
// not here fails the test of this package.
var described = map[string]map[string]any{
	"search":           {"description": "Words, in any of the languages.", "schema": text("")},
	"page":             {"description": "From 1.", "schema": integer(1, maxPage, 1)},
	"per_page":         {"description": "Items on a page.", "schema": integer(1, MaxPer, DefaultPer)},
	"format":           {"description": "ndjson sends all items, one a line, without pages.", "schema": oneOf("json", "ndjson")},
	"snapshot":         {"description": "From the Link of the page before: page on in the same list, whatever changes meanwhile.", "schema": text("")},
	"organization_id":  {"description": "Of the organization that gives the service.", "schema": text("uuid")},
	"taxonomy_id":      {"description": "With a term of this taxonomy.", "schema": text("uuid")},
	"taxonomy_term_id": {"description": "With this term.", "schema": text("uuid")},
	"modified_after":   {"description": "Changed on or after this time: RFC 3339, or a date.", "schema": text("date-time")},
	"minimal":          {"description": "Ids and times of the last change only.", "schema": flagged()},
	"full":             {"description": "Whole items, as they are alone.", "schema": flagged()},
	"full_service":     {"description": "With the services of each organization as they are alone.", "schema": flagged()},
	"postcode":         {"description": "At a place with this postal code.", "schema": text("")},
	"proximity":        {"description": "Metres around the middle of the places with the postal code.", "schema": map[string]any{"type": "number", "minimum": 1}},
	"parent_id":        {"description": "Right below this term.", "schema": text("uuid")},
	"top_only":         {"description": "Terms without a parent.", "schema": flagged()},
	"country":          {"description": "Published by this country, ISO 3166-1 alpha-2. Beyond HSDS.", "schema": text("")},
	"language":         {"description": "Usable in this language, BCP 47. Beyond HSDS.", "schema": text("")},
	"latitude":         {"description": "Of a place, in degrees; with longitude. Beyond HSDS.", "schema": map[string]any{"type": "number", "minimum": -90, "maximum": 90}},
	"longitude":        {"description": "Of the place.", "schema": map[string]any{"type": "number", "minimum": -180, "maximum": 180}},
	"radius":           {"description": "Metres around the place.", "schema": map[string]any{"type": "number", "minimum": 1, "default": 25000}},
	"open_now":         {"description": "Open now by its own clock, or not. Beyond HSDS.", "schema": flagged()},
	"minimum_age":      {"description": "Takes somebody of this age or above. Beyond HSDS.", "schema": integer(0, 150, nil)},
	"maximum_age":      {"description": "Takes somebody of this age or below. Beyond HSDS.", "schema": integer(0, 150, nil)},
	"professional":     {"description": "With what is for professionals. Beyond HSDS.", "schema": flagged()},
}

func operation(summary string, params []any, ok map[string]any) map[string]any {
	problem := map[string]any{"$ref": "#/components/responses/Problem"}
	o := map[string]any{"summary": summary, "responses": map[string]any{
		"200": map[string]any{"description": "The answer.", "content": ok}, "400": problem, "404": problem, "410": problem,
	}}
	if params != nil {
		o["parameters"] = params
	}
	return o
}

func content(kind string, s map[string]any) map[string]any {
	return map[string]any{kind: map[string]any{"schema": s}}
}

func text(format string) map[string]any {
	if format == "" {
		return map[string]any{"type": "string"}
	}
	return map[string]any{"type": "string", "format": format}
}

func uriText() map[string]any { return text("uri") }

func flagged() map[string]any { return map[string]any{"type": "boolean", "default": false} }

func oneOf(first string, more ...string) map[string]any {
	values := []any{first}
	for _, v := range more {
		values = append(values, v)
	}
	return map[string]any{"type": "string", "enum": values, "default": first}
}

func integer(lowest, highest int, usual any) map[string]any {
	s := map[string]any{"type": "integer", "minimum": lowest, "maximum": highest}
	if usual != nil {
		s["default"] = usual
	}
	return s
}

// references turns what a schema names beside it into components: phone.json is
// #/components/schemas/phone, and #/$defs/fact is within its own object.
func references(v any, object string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			references(x, object)
		}
	case map[string]any:
		for name, x := range v {
			if ref, ok := x.(string); ok && name == "$ref" {
				if def, own := strings.CutPrefix(ref, "#/"); own {
					v[name] = "#/components/schemas/" + object + "/" + def
				} else {
					v[name] = "#/components/schemas/" + strings.TrimSuffix(ref, ".json")
				}
				continue
			}
			references(x, object)
		}
	}
}

// profile tells about the profile, as text to read.
func (a *API) profile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	a.sendAs(w, r, "text/plain; charset=utf-8", []byte(profile.Text))
}

// profileSchema sends the schema of an object with the profile's fields.
func (a *API) profileSchema(w http.ResponseWriter, r *http.Request) {
	s := profile.Schema(strings.TrimSuffix(r.PathValue("file"), ".json"))
	if s == nil {
		a.noFile(w)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.write(w, r, s)
}

// profilePatch sends what the profile adds to an object.
func (a *API) profilePatch(w http.ResponseWriter, r *http.Request) {
	b := profile.Patch(strings.TrimSuffix(r.PathValue("file"), ".json"))
	if b == nil {
		a.noFile(w)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.sendAs(w, r, "application/merge-patch+json", b)
}

func (a *API) noFile(w http.ResponseWriter) {
	Problem{Status: http.StatusNotFound, Title: "Not found", Detail: "There is no such object. Patches there are of: " + strings.Join(profile.Patched(), ", ") +
		"; schemas of: " + strings.Join(schema.Objects(), ", ") + "."}.Write(w)
}
