package analysis

import "strings"

// Light stemmers for Greek, Lithuanian and Maltese: endings of cases, numbers
// and genders, and the plainest of conjugation.

var greekEndings = newEndings(`
	α ας ες εσ οσ ασ ησ ισ υσ ουσ εασ ιασ ειασ ησησ α η ο ι υ ε ω
	ου ον οι ων εσ εισ εωσ εων εα ια ιων ιεσ ιου ιο εια ειων ειεσ ειου
	ατοσ ατα ατων ατι
	ει ουμε ετε ουν ουνε εται ονται ομαι αμε ατε
`)

func stemGreek(w string) string {
	if w[0] < 0x80 {
		return w // not in Greek letters
	}
	s := greekEndings.strip(w, 6) // three letters of two bytes
	// The e of -ια after it: βοηθει-α, βοηθε-ια are one.
	for _, tail := range [...]string{"ει", "ε"} {
		if len(s) >= 8+len(tail) && strings.HasSuffix(s, tail) {
			return s[:len(s)-len(tail)]
		}
	}
	return s
}

var lithuanianEndings = newEndings(`
	as is ys us uo a e o i u y ia io iu ui iui ai iai ei iei ies es os ios
	am iam ame iame ams iams oms ioms ems ims ums umi imi emi omis iomis emis imis umis ais iais
	uje iuje yje oje ioje eje uose iuose ose iose ese yse
	asis ysis oji ioji ojo ajam aji ieji uju iuju osios ajai iesiems aisiais
	ti si
`)

// lithuanianWhole keeps apart what only the endings tell apart: žmona is a
// wife, žmonės are people.
var lithuanianWhole = map[string]string{
	"zmona": "zmona", "zmonos": "zmona", "zmonai": "zmona", "zmonoms": "zmona", "zmonomis": "zmona",
}

func stemLithuanian(w string) string {
	if s, ok := lithuanianWhole[w]; ok {
		return s
	}
	s := lithuanianEndings.strip(w, 3)
	switch {
	case len(s) > 3 && strings.HasSuffix(s, "dz"): // zodzio, zod-is
		return s[:len(s)-1]
	case len(s) > 3 && strings.HasSuffix(s, "c") && s != "pac": // skambucio, skambut-is
		return s[:len(s)-1] + "t"
	}
	return s
}

var malteseEndings = newEndings(`
	ijiet ijiet jiet iet ajjet ijin ijja ija iji ja ji in at a e i u
	hom kom hielhom ilhom
`)

// malteseWhole are common words whose plural changes the vowels inside.
var malteseWhole = map[string]string{
	"tifel": "tfal", "tifla": "tfal", "tfal": "tfal", "bniet": "tfal",
	"tabib": "tabib", "tabiba": "tabib", "tobba": "tabib",
	"ktieb": "ktib", "kotba": "ktib", "raguni": "ragun",
	"ragel": "ragel", "irgiel": "ragel", "mara": "mara", "nisa": "mara",
	"problema": "problem", "problemi": "problem", "omm": "omm", "ommijiet": "omm",
}

func stemMaltese(w string) string {
	if s, ok := malteseWhole[w]; ok {
		return s
	}
	s := malteseEndings.strip(w, 3)
	return strings.ReplaceAll(s, "ie", "i") // hsieb, hsibijiet
}
