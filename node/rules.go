package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// maxRules bounds a document of policy or vocabulary. The program's own words are
// a quarter of a megabyte.
const maxRules = 1 << 20

// Policy implements [control.Rules].
func (a *admin) Policy(context.Context) (control.Policy, error) {
	s, _, err := (*Node)(a).member()
	if err != nil {
		return control.Policy{}, err
	}
	return policyOut(s.Policy(), s.Rules(), s.PolicySeq()), nil
}

func policyOut(p registry.Policy, rules, seq uint64) control.Policy {
	return control.Policy{
		Rules: rules, Seq: seq, InvitationDays: p.InvitationDays, VoteDays: p.VoteDays, Approvals: p.Approvals, MajorityBelow: p.MajorityBelow,
		OriginsPerCountry: p.OriginsPerCountry, Voters: p.Voters, TakedownDays: p.TakedownDays, EraseDays: p.EraseDays, Caretakers: p.Caretakers,
		Languages: p.Languages, Cadence: p.Cadence, LapseAfter: p.LapseAfter,
		LargeChange: control.LargeChange(p.LargeChange), Heads: control.HeadLimits(p.Heads),
	}
}

func policyIn(p control.Policy) registry.Policy {
	return registry.Policy{
		InvitationDays: p.InvitationDays, VoteDays: p.VoteDays, Approvals: p.Approvals, MajorityBelow: p.MajorityBelow,
		OriginsPerCountry: p.OriginsPerCountry, Voters: p.Voters, TakedownDays: p.TakedownDays, EraseDays: p.EraseDays, Caretakers: p.Caretakers,
		Languages: p.Languages, Cadence: p.Cadence, LapseAfter: p.LapseAfter,
		LargeChange: registry.LargeChange(p.LargeChange), Heads: registry.Heads(p.Heads),
	}
}

// PutPolicy implements [control.Rules].
func (a *admin) PutPolicy(ctx context.Context, in control.RulesRequest) (control.Proposed, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.Proposed{}, err
	}
	now := s.Policy()
	wanted := policyOut(now, s.Rules(), s.PolicySeq())
	faults := readOver(in.Document, &wanted)
	if wanted.Rules != s.Rules() {
		faults = append(faults, "rules is changed with waymark policy activate")
	}
	next := policyIn(wanted)
	if err := next.Check(); err != nil {
		faults = append(faults, faultsOf(err)...)
	}
	if len(faults) > 0 {
		return control.Proposed{}, faulty(faults)
	}
	out := control.Proposed{Changes: policyChanges(now, next), Notes: []string{}, Decisions: []control.Decision{}, DryRun: in.DryRun}
	if len(out.Changes) == 0 || in.DryRun {
		return out, nil
	}
	d, err := n.move(ctx, registry.KindPolicy, registry.SetPolicy{Before: registry.HashPolicy(now), Policy: next})
	if err != nil {
		return control.Proposed{}, err
	}
	out.Decisions = append(out.Decisions, d)
	return out, nil
}

func faultsOf(err error) []string {
	if e, ok := errors.AsType[*registry.Faults](err); ok {
		return e.List
	}
	return []string{err.Error()}
}

// readOver reads a JSON object over what into holds: what it does not name stays,
// a map or list that it names is replaced. It names every member that there is
// not, and every value of the wrong type.
func readOver[T any](document json.RawMessage, into *T) []string {
	if len(document) > maxRules {
		return []string{fmt.Sprintf("the document has %d bytes, at most %d are allowed", len(document), maxRules)}
	}
	known, err := json.Marshal(*into)
	if err != nil {
		return []string{err.Error()}
	}
	var was, given map[string]json.RawMessage
	if err := json.Unmarshal(known, &was); err != nil {
		return []string{err.Error()}
	}
	if err := json.Unmarshal(document, &given); err != nil || given == nil {
		return []string{"it is no JSON object"}
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := was[name]; !ok {
			faults = append(faults, fmt.Sprintf("there is no %q", name))
			continue
		}
		next := maps.Clone(was)
		next[name] = over(was[name], given[name])
		whole, err := json.Marshal(next)
		if err != nil {
			return append(faults, err.Error())
		}
		dec := json.NewDecoder(bytes.NewReader(whole))
		dec.DisallowUnknownFields()
		var read T
		if err := dec.Decode(&read); err != nil {
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) {
				faults = append(faults, fmt.Sprintf("%s: a %s stands where another kind of value belongs", wrong.Field, wrong.Value))
			} else {
				faults = append(faults, fmt.Sprintf("%s: %s", name, strings.TrimPrefix(err.Error(), "json: ")))
			}
			continue
		}
		*into, was = read, next
	}
	return faults
}

// over is an object with the members of another in place of its own, or the other
// value where one of them is no object. Tables by kind are replaced whole: a kind
// that is left out is to go.
func over(was, given json.RawMessage) json.RawMessage {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(given, &b) != nil || a == nil || b == nil {
		return given
	}
	if _, table := a["resource"]; table {
		return given
	}
	maps.Copy(a, b)
	out, err := json.Marshal(a)
	if err != nil {
		return given
	}
	return out
}

// policyChanges names what is other in the second policy, in words that the
// command line and the form of the policy share.
func policyChanges(now, next registry.Policy) []string {
	was, wanted := flat("", policyOut(now, 0, 0)), flat("", policyOut(next, 0, 0))
	var out []string
	keys := slices.Sorted(maps.Keys(wanted))
	for k := range was {
		if _, ok := wanted[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		a, had := was[k]
		b, has := wanted[k]
		switch {
		case !had:
			out = append(out, fmt.Sprintf("%s: %s, new", k, b))
		case !has:
			out = append(out, fmt.Sprintf("%s: %s goes", k, a))
		case a != b:
			out = append(out, fmt.Sprintf("%s: %s, now %s", k, b, a))
		}
	}
	return out
}

// flat is every single value of a JSON form by its path.
func flat(at string, v any) map[string]string {
	out := map[string]string{}
	b, err := json.Marshal(v)
	if err != nil {
		return out
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) != nil || m == nil {
		out[at] = string(b)
		return out
	}
	for k, inner := range m {
		path := strings.TrimPrefix(at+"."+k, ".")
		maps.Copy(out, flat(path, inner))
	}
	return out
}

// Vocabulary implements [control.Rules].
func (a *admin) Vocabulary(context.Context) (control.Vocabulary, error) {
	n := (*Node)(a)
	return vocabularyOut(n.vocabulary(), n.languages()), nil
}

// languages are those in which words are to be had.
func (n *Node) languages() []string {
	if s := n.state(); s != nil {
		return s.Policy().Languages
	}
	return registry.DefaultPolicy().Languages
}

func vocabularyOut(v vocabulary, languages []string) control.Vocabulary {
	out := control.Vocabulary{Seq: v.Seq, Languages: languages, Vocabularies: []control.Taxonomy{}, Wording: map[string][]control.Banned{}}
	for _, t := range v.Taxonomies {
		x := control.Taxonomy{Code: t.Code, Labels: t.Labels, Fixed: listing.Fixed(t.Code), Terms: []control.Term{}}
		for _, m := range t.Terms {
			y := control.Term{Code: m.Code, Parent: m.Parent, Labels: m.Labels, Synonyms: m.Synonyms, Status: termCurrent, Successor: m.Successor}
			if m.Deprecated {
				y.Status = termDeprecated
			}
			for _, p := range m.Mappings {
				y.Mappings = append(y.Mappings, control.Mapping(p))
			}
			x.Terms = append(x.Terms, y)
		}
		out.Vocabularies = append(out.Vocabularies, x)
	}
	for _, w := range v.Wording {
		list := []control.Banned{}
		for _, b := range w.Banned {
			list = append(list, control.Banned(b))
		}
		out.Wording[w.Language] = list
	}
	return out
}

// The standings of a term, as the command line has them.
const (
	termCurrent    = "current"
	termDeprecated = "deprecated"
)

// vocabularyIn is what a document asks for, over what holds. Vocabularies and
// languages that are not in it are left out of the answer. Of a term that is known,
// words in other languages stay; an empty label takes one away. The order of the
// terms is that of the document when it names all of them.
func vocabularyIn(now vocabulary, in control.Vocabulary) (vocabulary, []string) {
	var out vocabulary
	var faults []string
	for _, x := range in.Vocabularies {
		was := registry.Taxonomy{Code: x.Code}
		if i := slices.IndexFunc(now.Taxonomies, func(o registry.Taxonomy) bool { return o.Code == x.Code }); i >= 0 {
			was = now.Taxonomies[i]
		}
		t := registry.Taxonomy{Code: x.Code, Labels: words(was.Labels, x.Labels)}
		for _, y := range x.Terms {
			m, wrong := termIn(was, x.Code, y)
			t.Terms = append(t.Terms, m)
			faults = append(faults, wrong...)
		}
		t.Terms = arranged(was.Terms, t.Terms)
		out.Taxonomies = append(out.Taxonomies, t)
	}
	for _, lang := range slices.Sorted(maps.Keys(in.Wording)) {
		w := registry.Wording{Language: lang}
		for _, b := range in.Wording[lang] {
			w.Banned = append(w.Banned, registry.Banned(b))
		}
		slices.SortFunc(w.Banned, func(a, b registry.Banned) int { return strings.Compare(a.Term, b.Term) })
		out.Wording = append(out.Wording, w)
	}
	return out, faults
}

// termIn is a term of a document over the one of that code that is known.
func termIn(of registry.Taxonomy, taxonomy string, y control.Term) (registry.Term, []string) {
	var faults []string
	var was registry.Term
	if i := slices.IndexFunc(of.Terms, func(o registry.Term) bool { return o.Code == y.Code }); i >= 0 {
		was = of.Terms[i]
	}
	m := registry.Term{
		Code: y.Code, Parent: y.Parent, Labels: words(was.Labels, y.Labels), Mappings: was.Mappings,
		Deprecated: y.Status == termDeprecated, Successor: y.Successor,
	}
	m.Synonyms = maps.Clone(was.Synonyms)
	for lang, list := range y.Synonyms {
		if m.Synonyms == nil {
			m.Synonyms = map[string][]string{}
		}
		if m.Synonyms[lang] = list; len(list) == 0 {
			delete(m.Synonyms, lang)
		}
	}
	if len(m.Synonyms) == 0 {
		m.Synonyms = nil
	}
	if y.Mappings != nil {
		m.Mappings = nil
		for _, p := range y.Mappings {
			m.Mappings = append(m.Mappings, registry.Mapping(p))
		}
	}
	if y.Status != termCurrent && y.Status != termDeprecated && y.Status != "" {
		faults = append(faults, fmt.Sprintf("%s %s: the status %q is neither current nor deprecated", taxonomy, y.Code, y.Status))
	}
	if listing.Fixed(taxonomy) && (m.Deprecated || !slices.Contains(listing.Shipped(taxonomy), m.Code)) {
		faults = append(faults, fmt.Sprintf("%s %s: the program itself goes by these codes; its words can be changed, and no code added or deprecated", taxonomy, y.Code))
	}
	return m, faults
}

// words are labels with others in place of theirs; an empty one takes it away.
func words(was, given map[string]string) map[string]string {
	out := make(map[string]string, len(was)+len(given))
	maps.Copy(out, was)
	maps.Copy(out, given)
	maps.DeleteFunc(out, func(_, s string) bool { return s == "" })
	return out
}

// arranged are the given terms in their order if they are all that there are, else
// in the order that there is, new ones at the end. A term that is given twice is
// there twice: the registry says what is wrong with that.
func arranged(was, given []registry.Term) []registry.Term {
	has := func(list []registry.Term, code string) bool {
		return slices.ContainsFunc(list, func(o registry.Term) bool { return o.Code == code })
	}
	if !slices.ContainsFunc(was, func(m registry.Term) bool { return !has(given, m.Code) }) {
		return given
	}
	var out []registry.Term
	for _, m := range was {
		if !has(given, m.Code) {
			out = append(out, m)
		}
		for _, g := range given {
			if g.Code == m.Code {
				out = append(out, g)
			}
		}
	}
	for _, g := range given {
		if !has(was, g.Code) {
			out = append(out, g)
		}
	}
	return out
}

// PutVocabulary implements [control.Rules].
func (a *admin) PutVocabulary(ctx context.Context, in control.RulesRequest) (control.Proposed, error) {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return control.Proposed{}, err
	}
	now := n.vocabulary()
	wanted, faults := n.seed, []string(nil)
	if !in.Seed {
		document := control.Vocabulary{Languages: []string{}, Vocabularies: []control.Taxonomy{}, Wording: map[string][]control.Banned{}}
		if faults = readOver(in.Document, &document); len(faults) == 0 {
			wanted, faults = vocabularyIn(now, document)
		}
	}
	// What is agreed counts, not what is shown in its place.
	agreed := vocabulary{Taxonomies: s.Taxonomies(), Wording: s.Wording()}
	list, err := changes(agreed, wanted)
	if err != nil {
		faults = append(faults, err.Error())
	}
	faults = append(faults, banned(vocabulary{Taxonomies: wanted.Taxonomies, Wording: both(now.Wording, wanted.Wording)})...)
	for _, ch := range list {
		if err := n.judge(s, ch); err != nil {
			faults = append(faults, faultsOf(err)...)
		}
	}
	if len(faults) > 0 {
		return control.Proposed{}, faulty(faults)
	}
	out := control.Proposed{Changes: []string{}, Notes: untranslated(wanted, n.languages()), Decisions: []control.Decision{}, DryRun: in.DryRun}
	for _, ch := range list {
		out.Changes = append(out.Changes, vocabularyChanges(agreed, ch)...)
	}
	if in.DryRun {
		return out, nil
	}
	for _, ch := range list {
		d, err := n.move(ctx, registry.KindVocabulary, ch)
		if err != nil {
			return out, err
		}
		out.Decisions = append(out.Decisions, d)
	}
	return out, nil
}

// both are two wording lists, the second before the first.
func both(a, b []registry.Wording) []registry.Wording {
	out := slices.Clone(b)
	for _, w := range a {
		if !slices.ContainsFunc(b, func(o registry.Wording) bool { return o.Language == w.Language }) {
			out = append(out, w)
		}
	}
	return out
}

// judge tells what the registry would say of a change, before anything is signed
// that others see.
func (n *Node) judge(s *registry.State, ch registry.SetVocabulary) error {
	_, command, err := registry.NewCommand(s, registry.KindVocabulary, ch, n.keys().admin)
	if err != nil {
		return err
	}
	_, err = s.Apply(registry.Entry{Time: s.Time(), Command: command})
	return err
}

// vocabularyChanges names what a change would make other, a clause each.
func vocabularyChanges(now vocabulary, ch registry.SetVocabulary) []string {
	var out []string
	for _, x := range ch.Taxonomies {
		i := slices.IndexFunc(now.Taxonomies, func(t registry.Taxonomy) bool { return t.Code == x.Code })
		if i < 0 || x.Before == (identity.Hash{}) {
			out = append(out, fmt.Sprintf("%s: new, with %d terms", x.Code, len(x.Terms)))
			continue
		}
		was := now.Taxonomies[i]
		if len(x.Labels) > 0 && !maps.Equal(x.Labels, was.Labels) {
			out = append(out, x.Code+": its name")
		}
		for _, m := range x.Terms {
			out = append(out, termChange(x.Code, was, m))
		}
		if len(x.Order) > 0 && !slices.Equal(x.Order, order(was, x.Terms)) {
			out = append(out, x.Code+": the order of its terms")
		}
	}
	for _, w := range ch.Wording {
		out = append(out, fmt.Sprintf("the wording list in %s: %d terms", w.Language, len(w.Banned)))
	}
	return out
}

// order is that in which the terms of a taxonomy stand when others were added at
// its end.
func order(t registry.Taxonomy, added []registry.Term) []string {
	var out []string
	for _, m := range slices.Concat(t.Terms, added) {
		if !slices.Contains(out, m.Code) {
			out = append(out, m.Code)
		}
	}
	return out
}

func termChange(taxonomy string, was registry.Taxonomy, m registry.Term) string {
	at := taxonomy + " " + m.Code
	i := slices.IndexFunc(was.Terms, func(o registry.Term) bool { return o.Code == m.Code })
	switch {
	case i < 0:
		return fmt.Sprintf("%s: new, %q", at, m.Labels["en"])
	case m.Deprecated && !was.Terms[i].Deprecated && m.Successor != "":
		return fmt.Sprintf("%s: deprecated, in its place %s", at, m.Successor)
	case m.Deprecated && !was.Terms[i].Deprecated:
		return at + ": deprecated"
	}
	var said []string
	for _, lang := range slices.Sorted(maps.Keys(m.Labels)) {
		if old := was.Terms[i].Labels[lang]; old != m.Labels[lang] {
			said = append(said, fmt.Sprintf("%s %q, now %q", lang, m.Labels[lang], old))
		}
	}
	if len(said) == 0 {
		return at + ": its synonyms, mappings or place"
	}
	return at + ": " + strings.Join(said, ", ")
}

// untranslated says which languages lack labels.
func untranslated(v vocabulary, languages []string) []string {
	out := []string{}
	for _, lang := range languages {
		var codes []string
		for _, t := range v.Taxonomies {
			for _, m := range t.Terms {
				if m.Labels[lang] == "" && !m.Deprecated {
					codes = append(codes, t.Code+" "+m.Code)
				}
			}
		}
		switch n := len(codes); {
		case n > 3:
			out = append(out, fmt.Sprintf("%d terms have no label in %s and are shown in English: %s, …", n, lang, strings.Join(codes[:3], ", ")))
		case n > 0:
			out = append(out, fmt.Sprintf("no label in %s, shown in English: %s", lang, strings.Join(codes, ", ")))
		}
	}
	return out
}
