package analysis

import "strings"

// Light stemmers for Polish and Czech: they take off the endings of cases,
// numbers and genders, and level the changes that these bring to the last
// consonant. They leave prefixes and word formation alone.

var polishEndings = newEndings(`
	a e i o u y ie ia iu io ii em iem am om iom ow iow owi iowi owie ami iami ach iach mi
	ej iej ego iego emu iemu ych ich ymi imi ym im
	uje uja ujemy owac ac ic yc ec al ala ali alo il ila ili ilo
`)

// polishWhole are the common words whose stem changes in the middle.
var polishWhole = map[string]string{
	"dziecko": "dziec", "dziecka": "dziec", "dziecku": "dziec", "dzieckiem": "dziec",
	"czlowiek": "ludz", "czlowieka": "ludz", "czlowiekowi": "ludz", "czlowiekiem": "ludz",
	"rodzic": "rodzic", "rodzica": "rodzic", "rodzice": "rodzic", "rodzicow": "rodzic", "rodzicom": "rodzic", "rodzicami": "rodzic",
	"ojciec": "ojc", "chlopiec": "chlopc", "dzien": "dn", "dnia": "dn", "dni": "dn", "dniu": "dn",
	"tydzien": "tygodn", "reka": "rek", "rece": "rek", "problem": "problem", "system": "system",
	"kobiecie": "kobiet", "terapeucie": "terapeut", "internecie": "internet", "czacie": "czat",
}

func stemPolish(w string) string {
	if s, ok := polishWhole[w]; ok {
		return s
	}
	// -ość names a quality and keeps its ending through all cases.
	for _, s := range [...]string{"oscia", "osciom", "osciami", "osciach", "osci"} {
		if len(w) > len(s)+2 && strings.HasSuffix(w, s) {
			return w[:len(w)-len(s)] + "osc"
		}
	}
	if strings.HasSuffix(w, "osc") {
		return w
	}
	s := dropFleetingE(polishEndings.strip(w, 3))
	switch {
	case strings.HasSuffix(s, "dz"): // drodze, drog
		return s[:len(s)-2] + "g"
	case strings.HasSuffix(s, "rz") && len(s) > 4: // lekarz, lekarze; siostrze, siostr
		return s[:len(s)-1]
	case len(s) > 3 && strings.HasSuffix(s, "i"): // left by endings that soften
		return s[:len(s)-1]
	}
	return s
}

var czechEndings = newEndings(`
	a e i o u y ou em im ym um am om eho iho ho emu imu mu ich ych ech ach ami emi imi ymi
	ovi ove ata aty atum atech atech atum ete eti etem mi
	ovat uje uji ujeme al ala ali alo il ila ili ilo it at et
`)

var czechWhole = map[string]string{
	"dite": "det", "ditete": "det", "diteti": "det", "ditetem": "det",
	"deti": "det", "detem": "det", "detmi": "det", "detech": "det",
	"clovek": "clovek", "cloveka": "clovek", "cloveku": "clovek", "clovekem": "clovek",
	"lide": "lid", "lidi": "lid", "lidem": "lid", "lidmi": "lid", "lidech": "lid",
	"otec": "otc", "otce": "otc", "otci": "otc", "otcem": "otc",
	"problem": "problem", "problemu": "problem", "problemum": "problem", "system": "system", "systemu": "system", "systemum": "system", "den": "dn", "dne": "dn", "dny": "dn", "dni": "dn",
}

func stemCzech(w string) string {
	if s, ok := czechWhole[w]; ok {
		return s
	}
	s := dropFleetingE(czechEndings.strip(w, 3))
	switch {
	case strings.HasSuffix(s, "ct"): // anglictina, ceska: palatalised sk and ck keep their own stems
		return s
	case strings.HasSuffix(s, "c"): // lince, link; matce, matk
		return s[:len(s)-1] + "k"
	case strings.HasSuffix(s, "z"): // Praze, Prah
		return s[:len(s)-1] + "h"
	}
	return s
}
