package api

import (
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// Corrected tells which words were found only by forgiving a typing mistake.
type Corrected struct {
	Text  string        `json:"text"` // the question with what was taken to be meant: "did you mean"
	Words []CorrectWord `json:"words"`
}

// CorrectWord is one of these words: as asked in lower case and without accents, as
// meant the way a listing writes it.
type CorrectWord struct {
	Asked string `json:"asked"`
	Meant string `json:"meant"`
}

func corrected(text string, list []search.Correction) *Corrected {
	if len(list) == 0 {
		return nil
	}
	c := &Corrected{Text: strings.ToValidUTF8(search.Meant(text, list), ""), Words: make([]CorrectWord, len(list))}
	for i, w := range list {
		c.Words[i] = CorrectWord{w.Asked, w.Meant}
	}
	return c
}

// Marks are the name and the best part of the description of a result, cut at the
// words that were asked for. The pieces are plain text, never markup.
type Marks struct {
	Name    []Piece `json:"name"`
	Excerpt []Piece `json:"excerpt"`
}

// Piece is a part of a text.
type Piece struct {
	Text string `json:"text"`
	Hit  bool   `json:"hit,omitempty"`
}

// marksOf marks a listing; nil where nothing in it hits.
func marksOf(h *search.Highlighter, l *listing.Listing, language string) *Marks {
	own := func(field string) string { // the language of what translated gives
		if t, ok := l.Translations[language][field]; ok && strings.TrimSpace(t.Text) != "" {
			return language
		}
		return l.TextLanguage
	}
	hit := false
	pieces := func(list []search.Piece) []Piece {
		out := make([]Piece, len(list))
		for i, p := range list {
			out[i] = Piece{p.Text, p.Hit}
			hit = hit || p.Hit
		}
		return out
	}
	m := &Marks{
		Name:    pieces(h.Pieces(translated(l, language, "name", l.Name), own("name"))),
		Excerpt: pieces(h.Excerpt(translated(l, language, "description", l.Description), own("description"), maxSummary)),
	}
	if !hit {
		return nil
	}
	return m
}

// reasons are the steps of the ladder in words.
var reasons = map[search.Why]string{
	search.WhyUsable:    "it can be used from %s",
	search.WhyLanguage:  "it works in the language %s",
	search.WhyAnonymous: "it can be contacted without a name",
	search.WhyOpen:      "it is open now",
	search.WhyFresh:     "it was checked recently",
	search.WhyWords:     "it has all of the words",
	search.WhySomeWords: "it has some of the words",
	search.WhyTypo:      "it has words similar to those that were asked for",
	search.WhyNear:      "it lies within %g km",
}

// explain says in a sentence why a result stands where it stands.
func explain(q Question, hit search.Hit) string {
	switch q.Order {
	case search.ByID:
		return "The list goes by country and id."
	case search.ByDistance:
		if hit.Distance < 0 {
			return "The list goes by distance; this one has no place and stands behind those that have one."
		}
		return fmt.Sprintf("The list goes by distance; this one is %.1f km away.", hit.Distance)
	}
	said := make([]string, 0, len(hit.Why))
	for _, why := range hit.Why {
		s := reasons[why]
		switch why {
		case search.WhyUsable:
			s = fmt.Sprintf(s, q.From)
		case search.WhyLanguage:
			s = fmt.Sprintf(s, q.Language)
		case search.WhyNear:
			s = fmt.Sprintf(s, q.RadiusKM)
		}
		if s != "" {
			said = append(said, s)
		}
	}
	switch n := len(said); n {
	case 0:
		return "It stands here because nothing speaks for a higher place; equals go by country and id."
	case 1:
		return "It stands here because " + said[0] + "."
	default:
		return "It stands here because " + strings.Join(said[:n-1], ", ") + " and " + said[n-1] + "."
	}
}
