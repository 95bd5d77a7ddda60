package sheet

import (
	"archive/zip"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"
	"github.com/xuri/excelize/v2"

	"github.com/2ps-project/waymark/node/listing"
)

// core are the fields that a table of listings has; a # stands for the positions
// of a list, of which there are as many as the listings have, at least one.
var core = []string{
	"id", "name", "status", "organization.name", "organization.operator_type", "organization.website", "kind",
	"text_language", "description", "url", "email", "audience", "service_types", "formats", "settings", "gender", "minimum_age",
	"maximum_age", "guardian_consent", "referral", "coverage.countries", "coverage.regions", "coverage.global",
	"channels.#.type", "channels.#.value", "channels.#.label", "channels.#.languages", "channels.#.status",
	"channels.#.cost.value", "channels.#.anonymity.value", "channels.#.breach.conditions",
	"channels.#.hours.zone", "channels.#.hours.always_open",
	"schedules.#.description", "phones.#.number", "phones.#.type", "phones.#.description",
	"service_at_locations.#.location.location_type", "service_at_locations.#.location.name",
	"service_at_locations.#.location.addresses.1.address_1", "service_at_locations.#.location.addresses.1.postal_code",
	"service_at_locations.#.location.addresses.1.city", "service_at_locations.#.location.addresses.1.state_province",
	"service_at_locations.#.location.addresses.1.country", "service_at_locations.#.location.addresses.1.address_type",
	"service_at_locations.#.location.latitude", "service_at_locations.#.location.longitude", "address_precision",
	"waiting.value", "waiting.as_of", "eligibility_description", "application_process", "fees_description",
	"assured_date", "alert", "source", "licence", "visibility", "internal_notes", "external_ids.#.scheme", "external_ids.#.id",
}

// most is how many positions of each list are written.
const mostPositions = 10

// Columns returns the fields that a table of these listings has.
func Columns(all iter.Seq2[listing.Document, error]) ([]Field, error) {
	counts := map[string]int{}
	for d, err := range all {
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"channels", "schedules", "phones", "service_at_locations", "external_ids"} {
			list, _ := d[name].([]any)
			counts[name] = min(max(counts[name], len(list)), mostPositions)
		}
	}
	return columns(counts), nil
}

func columns(counts map[string]int) []Field {
	var out []Field
	for i := 0; i < len(core); i++ {
		list, _, repeated := strings.Cut(core[i], ".#.")
		if !repeated {
			out = append(out, mustField(core[i]))
			continue
		}
		last := i
		for last+1 < len(core) && strings.HasPrefix(core[last+1], list+".#.") {
			last++
		}
		for n := 1; n <= max(1, counts[list]); n++ {
			for _, name := range core[i : last+1] {
				out = append(out, mustField(strings.Replace(name, "#", strconv.Itoa(n), 1)))
			}
		}
		i = last
	}
	return out
}

func mustField(name string) Field {
	f, err := ParseField(name)
	if err != nil {
		panic(err) // a field of this program
	}
	return f
}

// line is a listing as the cells of a row, and how many of its values no cell can
// hold: those stay as they are when the table is taken in again.
func line(fields []Field, d listing.Document, most int) (cells []string, left int) {
	cells = make([]string, len(fields))
	for i, f := range fields {
		s := f.show(f.get(d), ";")
		if control(s) != "" || len(s) > MaxCell || (most > 0 && len(utf16.Encode([]rune(s))) > most) || (most > 0 && strings.Contains(s, "\r")) || s != "" && strings.TrimSpace(s) == "" {
			s = ""
			left++
		}
		cells[i] = s
	}
	return cells, left
}

// WriteCSV writes listings as CSV in UTF-8 with a byte order mark and the given
// separator, which is how spreadsheet programs know the letters. Cells stand as they
// are: a sign put before a formula would spoil every telephone number that begins
// with +. Where a spreadsheet program opens what strangers wrote, the workbook is
// the safe form. It returns how many values were too long or odd for a cell.
func WriteCSV(w io.Writer, fields []Field, all iter.Seq2[listing.Document, error], separator rune) (left int, err error) {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return 0, err
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = separator, false
	if err := out.Write(names(fields)); err != nil {
		return 0, err
	}
	for d, err := range all {
		if err != nil {
			return left, err
		}
		cells, n := line(fields, d, 0)
		left += n
		if err := out.Write(cells); err != nil {
			return left, err
		}
	}
	out.Flush()
	return left, out.Error()
}

func names(fields []Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

// sheetName is the sheet that holds the listings.
const sheetName = "listings"

// WriteWorkbook writes listings as an XLSX workbook. Every cell is a text and
// formatted as one: no program makes a number of a telephone number or computes what
// begins with an equals sign. Fields of a vocabulary have drop-down lists. It
// returns how many values were too long or odd for a cell.
func WriteWorkbook(w io.Writer, fields []Field, all iter.Seq2[listing.Document, error]) (left int, err error) {
	b, err := newBook(fields)
	if err != nil {
		return 0, err
	}
	defer b.file.Close()
	for d, err := range all {
		if err != nil {
			return left, err
		}
		cells, n := line(fields, d, excelize.TotalCellChars)
		left += n
		if err := b.row(cells); err != nil {
			return left, err
		}
	}
	return left, b.finish(w)
}

// templateRows is how many rows of a template have an id waiting.
const templateRows = 200

// WriteTemplate writes a workbook to be filled in: the columns of a table of
// listings, with ids that wait to be used. Rows that hold an id only say nothing.
func WriteTemplate(w io.Writer) error {
	fields := columns(map[string]int{"channels": 3, "phones": 1, "service_at_locations": 1})
	b, err := newBook(fields)
	if err != nil {
		return err
	}
	defer b.file.Close()
	for range templateRows {
		id, err := uuid.NewRandom()
		if err != nil {
			return err
		}
		if err := b.row([]string{id.String()}); err != nil {
			return err
		}
	}
	return b.finish(w)
}

// book is a workbook that is being written.
type book struct {
	file   *excelize.File
	stream *excelize.StreamWriter
	fields []Field
	text   int // style of a cell that is a text
	rows   int
}

func newBook(fields []Field) (*book, error) {
	b := &book{file: excelize.NewFile(), fields: fields}
	if err := b.file.SetSheetName("Sheet1", sheetName); err != nil {
		return nil, err
	}
	var err error
	const asText = 49 // the built-in format @
	if b.text, err = b.file.NewStyle(&excelize.Style{NumFmt: asText}); err != nil {
		return nil, err
	}
	head, err := b.file.NewStyle(&excelize.Style{NumFmt: asText, Font: &excelize.Font{Bold: true}})
	if err != nil {
		return nil, err
	}
	if b.stream, err = b.file.NewStreamWriter(sheetName); err != nil {
		return nil, err
	}
	if err := b.stream.SetColStyle(1, len(fields), b.text); err != nil {
		return nil, err
	}
	if err := b.stream.SetColWidth(1, len(fields), 24); err != nil {
		return nil, err
	}
	if err := b.stream.SetPanes(&excelize.Panes{Freeze: true, XSplit: 2, YSplit: 1, TopLeftCell: "C2", ActivePane: "bottomRight"}); err != nil {
		return nil, err
	}
	return b, b.styled(names(fields), head)
}

func (b *book) row(cells []string) error { return b.styled(cells, b.text) }

func (b *book) styled(cells []string, style int) error {
	b.rows++
	values := make([]any, len(cells))
	for i, c := range cells {
		if c != "" {
			values[i] = excelize.Cell{StyleID: style, Value: c}
		}
	}
	at, err := excelize.CoordinatesToCellName(1, b.rows)
	if err != nil {
		return err
	}
	return b.stream.SetRow(at, values)
}

// finish adds the lists and writes everything.
func (b *book) finish(w io.Writer) error {
	// Before the rows are closed: afterwards the library would read them all to add
	// lists to them.
	if err := b.lists(); err != nil {
		return err
	}
	if err := b.stream.Flush(); err != nil {
		return err
	}
	// The library would make the whole file in memory.
	b.file.ZipWriter = func(io.Writer) excelize.ZipWriter { return zip.NewWriter(w) }
	_, err := b.file.WriteToBuffer()
	return err
}

// lists writes the codes of every vocabulary on a sheet, a column each, from which
// the drop-down lists choose. A cell that may hold several takes others as well.
func (b *book) lists() error {
	const lists = "codes"
	if _, err := b.file.NewSheet(lists); err != nil {
		return err
	}
	column := map[string]string{}
	for i, f := range b.fields {
		codes := listing.Terms(f.vocabulary)
		if f.kind == yesNo {
			codes = []string{"yes", "no"}
		}
		if codes == nil {
			continue
		}
		key := f.vocabulary
		if column[key] == "" {
			letter := Letter(len(column))
			title := f.vocabulary
			if title == "" {
				title = "yes or no"
			}
			for n, code := range append([]string{title}, codes...) {
				if err := b.file.SetCellStr(lists, letter+strconv.Itoa(n+1), code); err != nil {
					return err
				}
			}
			column[key] = fmt.Sprintf("%s!$%s$2:$%s$%d", lists, letter, letter, len(codes)+1)
		}
		v := excelize.NewDataValidation(true)
		v.SetSqref(fmt.Sprintf("%s2:%s%d", Letter(i), Letter(i), max(b.rows, 1)+500))
		v.SetSqrefDropList(column[key])
		if f.kind == texts {
			v.SetError(excelize.DataValidationErrorStyleInformation, "Several values", "Several codes of the list are separated by semicolons.")
		} else {
			v.SetError(excelize.DataValidationErrorStyleStop, "Not in the list", "Choose one of the list; the sheet “"+lists+"” has them all.")
		}
		if err := b.file.AddDataValidation(sheetName, v); err != nil {
			return err
		}
	}
	return nil
}
