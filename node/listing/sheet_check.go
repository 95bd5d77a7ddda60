package listing

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CheckPublish returns everything that keeps the sheet from being published at
// the time now under the [DefaultCadence], all at once.
func (s *Sheet) CheckPublish(now time.Time) Faults { return s.CheckPublishAt(now, DefaultCadence) }

// CheckPublishAt is [Sheet.CheckPublish] under the cadence of a federation's
// policy. What must be there: an emergency contact, a statement of the
// operator, and whom to write to.
func (s *Sheet) CheckPublishAt(now time.Time, cadence Cadence) Faults {
	c := checker{l: crisisListing(), now: now, cadence: cadence}
	if s.size > MaxSheet {
		c.add("", CodeTooLarge, "The sheet is too large: it holds at most %d bytes. Shorten its texts.", MaxSheet)
	}
	s.checkCrisis(&c)
	s.checkLaw(&c)
	s.checkExit(&c)
	s.checkOperator(&c)
	s.checkNotice(&c)
	s.checkPage(&c)
	return c.Faults
}

func (s *Sheet) checkCrisis(c *checker) {
	if len(s.Crisis) > MaxContacts {
		c.add("crisis_contacts", CodeTooLarge, "There are %d contacts, at most %d are allowed: too many confuse. Leave some out.", len(s.Crisis), MaxContacts)
	}
	emergency := false
	seen := map[string]bool{}
	for i := range s.Crisis {
		x := &s.Crisis[i]
		path := "crisis_contacts[" + strconv.Itoa(i) + "]"
		emergency = emergency || x.Kind == "emergency"
		if name := x.Kind + "\x00" + strings.Join(strings.Fields(x.Value), ""); seen[name] {
			c.add(path, CodeTwice, "This contact stands here twice. Leave one out.")
		} else {
			seen[name] = true
		}
		c.contact(path, x)
	}
	if !emergency {
		c.add("crisis_contacts", CodeMissing, "There is no emergency number. Add it, with the day on which you made sure that it is right.")
	}
}

// contact checks one crisis contact.
func (c *checker) contact(path string, x *CrisisContact) {
	c.code(path+".kind", VocabularyCrisis, x.Kind, true)
	ch := x.Channel()
	switch ch.Type {
	case "phone", "live_chat", "async_message", "email", "web_self_guided":
		if blank(ch.Value) {
			c.add(path+".value", CodeMissing, "There is no number or address. Write it, or leave the contact out.")
		} else {
			c.reach(path, &ch)
		}
	default:
		c.add(path+".type", CodeBadCode, "%.60q is no way to make contact in a crisis. Choose one of: phone, live_chat, async_message, email, web_self_guided.", ch.Type)
	}
	c.length(path+".label", x.Label, 80)
	if blank(x.Label) && x.Kind != "emergency" {
		c.add(path+".label", CodeMissing, "It is not said who answers. Write the name of the line.")
	}
	if !blank(x.Label) {
		c.tag(path+".label_language", x.LabelLanguage)
	}
	if len(x.Languages) == 0 {
		c.add(path+".languages", CodeMissing, "It is not said which languages are spoken here. Name at least one.")
	}
	c.tags(path+".languages", x.Languages)
	if x.Hours == nil {
		c.add(path+".hours", CodeMissing, "It is not said when somebody answers. Give the hours, or say that they are not stated.")
	} else {
		c.hours(path+".hours", x.Hours)
	}
	c.code(path+".method", VocabularyMethod, x.Method, true)
	switch {
	case !blank(x.SourceURL) && !webAddress(x.SourceURL):
		c.add(path+".source_url", CodeBadValue, "This is no web address. Write it with https:// in front.")
	case blank(x.SourceURL) && x.Method != "called" && x.Method != "provider_attested":
		c.add(path+".source_url", CodeMissing, "It is not said where this comes from. Give the address of the page that says it, or call there.")
	}
	day, ok := c.day(path+".as_of", x.AsOf)
	if limit := c.cadence.Days(c.l); ok && c.now.UTC().Sub(day) >= time.Duration(limit+1)*24*time.Hour {
		c.add(path+".as_of", CodeStale, "The last check is more than %d days ago. Check the contact again and give the new date.", limit)
	}
}

func (s *Sheet) checkLaw(c *checker) {
	languages := make([]string, len(s.Law))
	for i := range s.Law {
		n := &s.Law[i]
		path := "law_notes[" + strconv.Itoa(i) + "]"
		languages[i] = n.Language
		c.tag(path+".language", n.Language)
		c.text(path+".text", n.Text)
		since, ok := c.day(path+".as_of", n.AsOf)
		due, err := time.Parse(time.DateOnly, n.ReviewDue)
		switch {
		case err != nil:
			c.add(path+".review_due", CodeMissing, "It is not said until when this may be relied on. Give the day of the next review, as 2026-11-23.")
		case n.Expired(c.now) && ok:
			c.add(path+".review_due", CodeStale, "The review is overdue. Have the note reviewed and give the new dates.")
		case ok && due.After(since.AddDate(0, 0, MaxLawDays)):
			c.add(path+".review_due", CodeBadValue, "A note on the law holds at most %d days. Give an earlier day for its review.", MaxLawDays)
		}
		if c.length(path+".reviewed_by", n.ReviewedBy, 120); blank(n.ReviewedBy) {
			c.add(path+".reviewed_by", CodeMissing, "It is not said who has checked this. Name the role, such as legal adviser; no person.")
		}
		if !webAddress(n.SourceURL) {
			c.add(path+".source_url", CodeMissing, "It is not said where this comes from. Give the address of the law or of who explains it, with https:// in front.")
		}
	}
	c.apart("law_notes", languages)
}

func (s *Sheet) checkExit(c *checker) {
	x := s.Exit
	if x == nil {
		return
	}
	if u, err := url.Parse(x.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(x.URL) > 300 {
		c.add("exit_target.url", CodeBadValue, "This is no address that a reader can leave to. Write it with https:// in front, and without anything after a question mark.")
	}
	if c.length("exit_target.label", x.Label, 60); blank(x.Label) {
		c.add("exit_target.label", CodeMissing, "It is not said how the link reads. Write a neutral word, such as weather.")
	}
	c.tag("exit_target.language", x.Language)
	c.day("exit_target.as_of", x.AsOf)
}

func (s *Sheet) checkOperator(c *checker) {
	if len(s.Operator) == 0 {
		c.add("operator_statement", CodeMissing, "Readers ask who runs this page and who can see them. Say who you are, who pays, and what is recorded, in at least one language.")
	}
	languages := make([]string, len(s.Operator))
	for i, t := range s.Operator {
		path := "operator_statement[" + strconv.Itoa(i) + "]"
		languages[i] = t.Language
		c.tag(path+".language", t.Language)
		c.text(path+".text", t.Text)
		c.day(path+".as_of", t.AsOf)
	}
	c.apart("operator_statement", languages)
}

func (s *Sheet) checkNotice(c *checker) {
	x := s.Notice
	if x == nil {
		c.add("notice_contact", CodeMissing, "It is not said whom to write to about what is published or hidden. Give an address that does not belong to one person.")
		return
	}
	if c.length("notice_contact.value", x.Value, 160); blank(x.Value) {
		c.add("notice_contact.value", CodeMissing, "There is no address. Write an e-mail, web or postal address.")
	}
	c.tags("notice_contact.languages", x.Languages)
	c.day("notice_contact.as_of", x.AsOf)
}

// day wants a date that is not in the future.
func (c *checker) day(path, s string) (time.Time, bool) {
	if blank(s) {
		c.add(path, CodeMissing, "It is not said when this was confirmed. Make sure that it is right and give the day, as 2026-11-23.")
		return time.Time{}, false
	}
	day, ok := usableDate(s, c.now)
	if !ok {
		c.add(path, CodeBadValue, "This is no date, or one in the future. Write the day on which it was confirmed as 2026-11-23.")
	}
	return day, ok
}

// tag wants one language.
func (c *checker) tag(path, tag string) {
	if blank(tag) {
		c.add(path, CodeMissing, "It is not said in which language this is written. Give its tag, such as lt.")
		return
	}
	if !languageTag.MatchString(tag) {
		c.add(path, CodeBadCode, "%.20q is no tag of a language, such as lt or nb-NO. Correct it.", tag)
	}
}

// text wants a text that is not too long.
func (c *checker) text(path, s string) {
	if blank(s) {
		c.add(path, CodeMissing, "The text is empty. Write it, or leave this language out.")
	}
	c.length(path, s, MaxSheetText)
}

func (c *checker) length(path, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		c.add(path, CodeTooLarge, "This has %d characters, at most %d are allowed. Shorten it.", n, limit)
	}
}

// apart wants the texts of a list to be in different languages, and not too
// many.
func (c *checker) apart(path string, languages []string) {
	if len(languages) > MaxTexts {
		c.add(path, CodeTooLarge, "There are %d texts, at most %d are allowed. Leave some out.", len(languages), MaxTexts)
	}
	seen := map[string]bool{}
	for i, tag := range languages {
		if tag = strings.ToLower(tag); tag != "" && seen[tag] {
			c.add(path+"["+strconv.Itoa(i)+"].language", CodeTwice, "There are two texts in this language. Leave one out.")
		}
		seen[tag] = true
	}
}
