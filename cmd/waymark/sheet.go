package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"rsc.io/qr"

	"github.com/2ps-project/waymark/federation/enroll"
)

// The square is made by rsc.io/qr: some hundred lines without dependencies, by one
// of Go's authors, and it chooses the denser of QR's alphabets for a code by itself.

//go:embed sheet.html
var sheetPage string

var sheetTemplate = template.Must(template.New("sheet").Funcs(template.FuncMap{
	"inc": func(i int) int { return i + 1 },
}).Parse(sheetPage))

// fact is a line of what the invitation says, once in each language where they differ.
type fact struct {
	Label  string
	Values []string
	ID     bool // to be compared letter by letter
}

// printSheet writes an invitation as one page of HTML that needs nothing else. Who
// invites, in words, is operator. It holds the secret, as the file does.
func printSheet(w io.Writer, i *enroll.Invitation, operator string) error {
	code, err := i.Code()
	if err != nil {
		return err
	}
	square, err := qrSVG(code)
	if err != nil {
		return err
	}
	texts := textsFor(i.Country)
	return sheetTemplate.Execute(w, map[string]any{
		"English": sheetEnglish, "Texts": texts, "Federation": i.Name, "Demo": i.Demo, "Country": i.Country,
		"QR": square, "Groups": strings.Split(code, "-"), "Facts": sheetFacts(i, operator, texts),
	})
}

func sheetFacts(i *enroll.Invitation, operator string, texts []sheetTexts) []fact {
	both := func(say func(sheetTexts) string) (out []string) {
		for _, t := range texts {
			if s := say(t); len(out) == 0 || out[0] != s {
				out = append(out, s)
			}
		}
		return out
	}
	label := func(say func(sheetTexts) string) string { return strings.Join(both(say), " · ") }
	until := time.Unix(i.Expires, 0).UTC()
	return []fact{
		{Label: label(func(t sheetTexts) string { return t.Invited }), Values: []string{countryName(i.Country, texts)}},
		{Label: label(func(t sheetTexts) string { return t.By }), Values: []string{countryName(i.Sponsor, texts), short(operator, longestOperator)}},
		{Label: label(func(t sheetTexts) string { return t.Until }), Values: both(func(t sheetTexts) string {
			return fmt.Sprintf(t.Day, until.Day(), t.Month[until.Month()-1], until.Year(), until.Format("15:04"))
		})},
		{Label: label(func(t sheetTexts) string { return t.ID }), Values: []string{i.Federation.String()}, ID: true},
		{Label: label(func(t sheetTexts) string { return t.Contact }), Values: []string{i.Contacts[0].Endpoint}, ID: true},
	}
}

// longestOperator bounds what the sheet shows of a name, so that it stays one page.
const longestOperator = 120

// countryName is a country's name in the languages of a sheet, and its code.
func countryName(code string, texts []sheetTexts) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	var names []string
	for _, t := range texts {
		if name := display.Regions(t.Language).Name(region); name != "" && (len(names) == 0 || names[0] != name) {
			names = append(names, name)
		}
	}
	return strings.TrimSpace(strings.Join(names, " · ") + " (" + code + ")")
}

// quiet is the white margin of a square, in modules: four by ISO/IEC 18004.
const quiet = 4

// qrSVG draws a text as a QR code that a fold or a coffee stain leaves readable.
func qrSVG(text string) (template.HTML, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw the square: %w", err)
	}
	var path strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			run := 0
			for c.Black(x+run, y) { // outside it is white
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	side := c.Size + 2*quiet
	return template.HTML(fmt.Sprintf(`<svg role="img" aria-label="QR" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>`,
		side, side, side, side, path.String())), nil
}
