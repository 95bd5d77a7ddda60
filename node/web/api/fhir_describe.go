package api

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/2ps-project/waymark/node/fhir"
)

// capabilities says what this node can do, made from what does it.
func (a *API) capabilities(w http.ResponseWriter, r *http.Request) {
	if err := fhirFormat(r.URL.Query()); err != nil {
		a.fhirFault(w, err)
		return
	}
	var resources []any
	for _, t := range fhirTypes {
		params := []any{map[string]any{"name": "_lastUpdated", "type": "date", "documentation": "With eq, gt, ge, lt, le, sa or eb. Of an organization or a location, the time of the listing in which it stands."}}
		for _, name := range slices.Sorted(maps.Keys(t.params)) {
			p := map[string]any{"name": name, "type": t.params[name].kind}
			if name == "name" {
				p["documentation"] = "By its beginning; :contains and :exact."
			}
			params = append(params, p)
		}
		history := "With _since. The last link of the last page says where to ask later: asked there, nothing is missed. What this node begins to hide or to show by its own decision is in no history. Where a deletion can no longer be told, the answer is 410: load everything again, without _since."
		if t.within != nil {
			history += " A resource is told whenever a listing in which it stands, or stood, has changed, and is deleted when no listing has it any more; that can be told for 30 days, and not across an erasure."
		}
		costly := "By the parameters organization, location and service-type and the _lastUpdated of services the directory is asked at once. For all others each resource that is left is looked at, at most " + strconv.Itoa(maxFHIRLook) + ": beyond that the answer is 403 with too-costly, and the question is to be narrowed."
		for _, r := range fhirReferences {
			if r.source == t.name {
				for _, name := range chainable(r) {
					params = append(params, map[string]any{"name": r.param + "." + name, "type": typeOf(r.target).params[name].kind})
				}
			}
		}
		interactions := []any{map[string]any{"code": "read"}, map[string]any{"code": "search-type", "documentation": costly}, map[string]any{"code": "history-type", "documentation": history}}
		resource := map[string]any{
			"type": t.name, "interaction": interactions, "versioning": "versioned", "readHistory": false, "updateCreate": false, "searchParam": params,
			"searchInclude": included(t, false),
		}
		if names := included(t, true); names != nil {
			resource["searchRevInclude"] = names
		}
		resources = append(resources, resource)
	}
	base := a.base(r)
	a.fhirWrite(w, r, map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": fhir.Version, "date": "2026-11-29",
		"format": []any{"json"}, "software": map[string]any{"name": "Waymark"},
		"implementation": map[string]any{"description": "Directory of help, read only. What is said of a way to make contact stands in the extension " + base + fhir.ChannelExtension + ".", "url": base + "/fhir"},
		"rest":           []any{map[string]any{"mode": "server", "security": map[string]any{"cors": true}, "resource": resources}},
	})
}

// channelExtension says what the extension of a ContactPoint means.
func (a *API) channelExtension(w http.ResponseWriter, r *http.Request) {
	base := a.base(r)
	elements := []any{
		map[string]any{"id": "Extension", "path": "Extension", "short": "What is known of a way to make contact", "min": 0, "max": "1"},
	}
	for _, part := range []struct{ name, short, max string }{
		{"type", "What kind of channel it is: a code of the taxonomy channel", "1"},
		{"cost", "What it costs: a code of the taxonomy cost", "1"},
		{"anonymity", "How anonymous contact can be: a code of the taxonomy anonymity; not_stated where the service says nothing", "1"},
		{"breach", "What would make the service tell somebody: codes of the taxonomy breach; not_stated where the service says nothing", "*"},
	} {
		id := "Extension.extension:" + part.name
		elements = append(elements,
			map[string]any{"id": id, "path": "Extension.extension", "sliceName": part.name, "short": part.short, "min": 0, "max": part.max},
			map[string]any{"id": id + ".url", "path": "Extension.extension.url", "fixedUri": part.name},
			map[string]any{"id": id + ".value[x]", "path": "Extension.extension.value[x]", "type": []any{map[string]any{"code": "code"}}},
		)
	}
	a.fhirWrite(w, r, map[string]any{
		"resourceType": "StructureDefinition", "url": base + fhir.ChannelExtension, "name": "WaymarkChannel", "status": "active", "fhirVersion": fhir.Version,
		"description": "Facts about one way to make contact, as the service said them or an editor read or tested them. Codes are those of the taxonomies at /hsds/taxonomies.",
		"kind":        "complex-type", "abstract": false, "type": "Extension", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension", "derivation": "constraint",
		"context":      []any{map[string]any{"type": "element", "expression": "HealthcareService.telecom"}},
		"differential": map[string]any{"element": elements},
	})
}
