package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// invitationFor is an invitation of Poland with the longest address that is usual.
func invitationFor(t testing.TB, country, endpoint string) *enroll.Invitation {
	t.Helper()
	pl := registrytest.New(t, "PL")
	_, s := pl.Found(t)
	i, _, err := enroll.Invite(s, pl.Keys.Admin, country, []enroll.Contact{{Endpoint: endpoint, Node: pl.Node()}}, 0, registrytest.Start)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// readSquare paints the square of a sheet as a printer would, and reads it as a
// camera would.
func readSquare(t testing.TB, page string) string {
	t.Helper()
	box := regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`).FindStringSubmatch(page)
	if box == nil {
		t.Fatal("the sheet has no square")
	}
	side, _ := strconv.Atoi(box[1])
	const dots = 6 // a module
	picture := image.NewGray(image.Rect(0, 0, side*dots, side*dots))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	runs := regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(page, -1)
	for _, r := range runs {
		x, _ := strconv.Atoi(r[1])
		y, _ := strconv.Atoi(r[2])
		n, _ := strconv.Atoi(r[3])
		for py := y * dots; py < (y+1)*dots; py++ {
			for px := x * dots; px < (x+n)*dots; px++ {
				picture.SetGray(px, py, color.Gray{})
			}
		}
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	read, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil {
		t.Fatalf("a camera cannot read the square: %v", err)
	}
	return read.GetText()
}

func TestSheet(t *testing.T) {
	for _, tt := range []struct {
		country, endpoint string
		says              []string
	}{
		{"FI", "192.0.2.7:7946", []string{"Finland (FI)", "Poland (PL)"}},
		{"DE", "[2001:db8:1234:5678:9abc:def0:1234:5678]:7946", []string{"Germany · Deutschland (DE)", "Poland · Polen (PL)", "Drei Schritte", "Anrufen und die Zahlen vergleichen"}},
		{"LT", "knot.waymark-federation.example.org:7946", []string{"Lithuania · Lietuva (LT)", "Trys žingsniai"}},
		{"PL", "waymark.example.org:443", []string{"Trzy kroki"}},
	} {
		t.Run(tt.country, func(t *testing.T) {
			i := invitationFor(t, tt.country, tt.endpoint)
			var b bytes.Buffer
			if err := printSheet(&b, i, `Przykład <script>alert(1)</script>`); err != nil {
				t.Fatal(err)
			}
			page := b.String()
			code, err := i.Code()
			if err != nil {
				t.Fatal(err)
			}
			if got := readSquare(t, page); got != code {
				t.Errorf("the square says %q, the code is %q", got, code)
			}
			if _, err := enroll.Parse(readSquare(t, page)); err != nil {
				t.Errorf("what the square says cannot be used: %v", err)
			}
			for n, group := range strings.Split(code, "-") {
				if !strings.Contains(page, fmt.Sprintf("<li><span>%d</span>%s</li>", n+1, group)) {
					t.Errorf("group %d, %s, is not on the sheet with its number", n+1, group)
				}
			}
			for _, want := range append(tt.says, i.Name, i.Federation.String(), tt.endpoint, "Three steps", "Telephone, and compare the numbers",
				"waymark init --country "+tt.country, "waymark join CODE", "waymark serve", "--request OUT", "Przykład &lt;script&gt;") {
				if !strings.Contains(page, want) {
					t.Errorf("the sheet does not say %q", want)
				}
			}
			for _, bad := range []string{"<script", "http:", "https:", "<img", "<link", "@import", "url(", "%!"} {
				if strings.Contains(page, bad) {
					t.Errorf("the sheet holds %q: it must need nothing from outside", bad)
				}
			}
		})
	}
}

// TestSheetTexts: no language lacks a word, and no country has two.
func TestSheetTexts(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range sheetOthers {
		for _, c := range o.countries {
			if seen[c] {
				t.Errorf("%s has two languages", c)
			}
			seen[c] = true
		}
	}
	for _, texts := range append(textsFor("DE"), append(textsFor("PL"), textsFor("LT")...)...) {
		for name, s := range map[string]string{
			"Title": texts.Title, "Lead": texts.Lead, "Demo": texts.Demo, "Code": texts.Code, "Invited": texts.Invited, "By": texts.By, "Until": texts.Until,
			"ID": texts.ID, "Contact": texts.Contact, "Heading": texts.Heading, "Init": texts.Init, "Join": texts.Join, "Serve": texts.Serve,
			"Placeholder": texts.Placeholder, "WarnHeading": texts.WarnHeading, "Warn": texts.Warn, "Offline": texts.Offline, "Once": texts.Once,
			"File": texts.File, "Out": texts.Out, "Day": texts.Day, "December": texts.Month[11],
		} {
			if s == "" {
				t.Errorf("%s: %s is empty", texts.Language, name)
			}
		}
		if got := fmt.Sprintf(texts.Day, 7, texts.Month[0], 2027, "15:04"); strings.Contains(got, "%!") || !strings.Contains(got, "2027") {
			t.Errorf("%s: a date is %q", texts.Language, got)
		}
	}
}

// TestSheetIsOnePage has a browser print the longest sheets.
func TestSheetIsOnePage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser; left out with -short")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("left out: there is no chromium")
	}
	dir := t.TempDir()
	for _, country := range []string{"DE", "PL"} {
		var b bytes.Buffer
		host := strings.Repeat("knot.", 9) + "waymark.example.org:65535"
		if err := printSheet(&b, invitationFor(t, country, host), strings.Repeat("Fundacja Pomocy ", 6)); err != nil {
			t.Fatal(err)
		}
		page, pdf := filepath.Join(dir, country+".html"), filepath.Join(dir, country+".pdf")
		if err := os.WriteFile(page, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
			"--user-data-dir="+filepath.Join(dir, "profile"), "--print-to-pdf="+pdf, "file://"+page).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		printed, err := os.ReadFile(pdf)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(printed, -1)); n != 1 {
			t.Errorf("%s: %d pages", country, n)
		}
	}
}

// TestSheetToLookAt writes sheets where WAYMARK_SHEETS names a directory.
func TestSheetToLookAt(t *testing.T) {
	dir := os.Getenv("WAYMARK_SHEETS")
	if dir == "" {
		t.Skip("for looking at sheets: WAYMARK_SHEETS names no directory")
	}
	for _, country := range []string{"FI", "DE", "PL", "LT"} {
		f, err := os.Create(dir + "/" + country + ".html")
		if err != nil {
			t.Fatal(err)
		}
		if err := printSheet(f, invitationFor(t, country, "knot.waymark-federation.example.org:7946"), "Fundacja Przykładowa Pomocy Rodzinom i Dzieciom w Warszawie"); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}
