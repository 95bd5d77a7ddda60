package fiction

// country is what the listings of one country share.
type country struct {
	zone         string   // IANA
	mix          []string // languages of the organizations in turn
	operator     string
	operatorType string
	postal       string // a postal code of the right form that no letter reaches
	phones       []block
	places       []place
}

// place is a city, by its name in one language, with its region.
type place struct {
	tag      string // language of the names; "" for every language
	city     string
	code     string // of the region, ISO 3166-2
	region   string
	lat, lon float64
}

// in returns the places whose names are in a language, or all of them if there
// are none.
func (c country) in(tag string) []place {
	var found []place
	for _, p := range c.places {
		if p.tag == tag || p.tag == "" {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return c.places
	}
	return found
}

var countries = map[string]country{
	"PL": {"Europe/Warsaw", []string{"pl"}, "Fundacja „Przykład” (operator fikcyjny)", "charity", "00-000", blocksNowhere, []place{
		{"", "Warszawa", "PL-14", "mazowieckie", 52.2297, 21.0122},
		{"", "Kraków", "PL-12", "małopolskie", 50.0647, 19.9450},
		{"", "Gdańsk", "PL-22", "pomorskie", 54.3520, 18.6466},
		{"", "Wrocław", "PL-02", "dolnośląskie", 51.1079, 17.0385},
		{"", "Poznań", "PL-30", "wielkopolskie", 52.4064, 16.9252},
		{"", "Łódź", "PL-10", "łódzkie", 51.7592, 19.4560},
		{"", "Lublin", "PL-06", "lubelskie", 51.2465, 22.5684},
	}},
	"DE": {"Europe/Berlin", []string{"de"}, "Klinik Beispiel (erfundener Betreiber)", "health", "00000", blocksDE, []place{
		{"", "Berlin", "DE-BE", "Berlin", 52.5200, 13.4050},
		{"", "Hamburg", "DE-HH", "Hamburg", 53.5511, 9.9937},
		{"", "München", "DE-BY", "Bayern", 48.1351, 11.5820},
		{"", "Köln", "DE-NW", "Nordrhein-Westfalen", 50.9375, 6.9603},
		{"", "Frankfurt am Main", "DE-HE", "Hessen", 50.1109, 8.6821},
		{"", "Leipzig", "DE-SN", "Sachsen", 51.3397, 12.3731},
		{"", "Hannover", "DE-NI", "Niedersachsen", 52.3759, 9.7320},
		{"", "Mainz", "DE-RP", "Rheinland-Pfalz", 49.9929, 8.2473},
	}},
	"IT": {"Europe/Rome", []string{"it"}, "Istituto Esempio (gestore fittizio)", "university", "00000", blocksNowhere, []place{
		{"", "Roma", "IT-62", "Lazio", 41.9028, 12.4964},
		{"", "Milano", "IT-25", "Lombardia", 45.4642, 9.1900},
		{"", "Napoli", "IT-72", "Campania", 40.8518, 14.2681},
		{"", "Torino", "IT-21", "Piemonte", 45.0703, 7.6869},
		{"", "Bologna", "IT-45", "Emilia-Romagna", 44.4949, 11.3426},
		{"", "Palermo", "IT-82", "Sicilia", 38.1157, 13.3615},
		{"", "Bari", "IT-75", "Puglia", 41.1171, 16.8719},
	}},
	"CY": {"Asia/Nicosia", []string{"el", "el", "el", "en"}, "Γραφείο Παράδειγμα (φανταστικός φορέας)", "private_practice", "0000", blocksNowhere, []place{
		{"el", "Λευκωσία", "CY-01", "Λευκωσία", 35.1856, 33.3823},
		{"el", "Λεμεσός", "CY-02", "Λεμεσός", 34.7071, 33.0226},
		{"el", "Λάρνακα", "CY-03", "Λάρνακα", 34.9003, 33.6232},
		{"el", "Πάφος", "CY-05", "Πάφος", 34.7720, 32.4297},
		{"en", "Nicosia", "CY-01", "Nicosia", 35.1856, 33.3823},
		{"en", "Limassol", "CY-02", "Limassol", 34.7071, 33.0226},
	}},
	"CZ": {"Europe/Prague", []string{"cs"}, "Ústav Příklad (smyšlený provozovatel)", "health", "000 00", blocksNowhere, []place{
		{"", "Praha", "CZ-10", "Hlavní město Praha", 50.0755, 14.4378},
		{"", "Brno", "CZ-64", "Jihomoravský kraj", 49.1951, 16.6068},
		{"", "Ostrava", "CZ-80", "Moravskoslezský kraj", 49.8209, 18.2625},
		{"", "Plzeň", "CZ-32", "Plzeňský kraj", 49.7384, 13.3736},
		{"", "Olomouc", "CZ-71", "Olomoucký kraj", 49.5938, 17.2509},
		{"", "Liberec", "CZ-51", "Liberecký kraj", 50.7663, 15.0543},
	}},
	"BE": {"Europe/Brussels", []string{"nl", "fr", "nl", "fr", "de"}, "Kantoor Voorbeeld – Bureau Exemple (verzonnen, fictif)", "private_practice", "0000", blocksNowhere, []place{
		{"nl", "Gent", "BE-VLG", "Vlaanderen", 51.0543, 3.7174},
		{"nl", "Antwerpen", "BE-VLG", "Vlaanderen", 51.2194, 4.4025},
		{"nl", "Leuven", "BE-VLG", "Vlaanderen", 50.8798, 4.7005},
		{"fr", "Liège", "BE-WAL", "Wallonie", 50.6326, 5.5797},
		{"fr", "Namur", "BE-WAL", "Wallonie", 50.4674, 4.8720},
		{"fr", "Bruxelles", "BE-BRU", "Bruxelles-Capitale", 50.8503, 4.3517},
		{"de", "Eupen", "BE-WAL", "Wallonien", 50.6279, 6.0339},
	}},
	"LT": {"Europe/Vilnius", []string{"lt"}, "Pavyzdžio universiteto centras (išgalvotas valdytojas)", "university", "LT-00000", blocksNowhere, []place{
		{"", "Vilnius", "LT-VL", "Vilniaus apskritis", 54.6872, 25.2797},
		{"", "Kaunas", "LT-KU", "Kauno apskritis", 54.8985, 23.9036},
		{"", "Klaipėda", "LT-KL", "Klaipėdos apskritis", 55.7033, 21.1443},
		{"", "Šiauliai", "LT-SA", "Šiaulių apskritis", 55.9349, 23.3137},
		{"", "Panevėžys", "LT-PN", "Panevėžio apskritis", 55.7348, 24.3575},
	}},
	"NO": {"Europe/Oslo", []string{"no"}, "Eksempel universitet (oppdiktet operatør)", "university", "0000", blocksNowhere, []place{
		{"", "Oslo", "NO-03", "Oslo", 59.9139, 10.7522},
		{"", "Bergen", "NO-46", "Vestland", 60.3913, 5.3221},
		{"", "Trondheim", "NO-50", "Trøndelag", 63.4305, 10.3951},
		{"", "Stavanger", "NO-11", "Rogaland", 58.9700, 5.7331},
		{"", "Tromsø", "NO-55", "Troms", 69.6492, 18.9553},
		{"", "Kristiansand", "NO-42", "Agder", 58.1467, 7.9956},
	}},
	"SE": {"Europe/Stockholm", []string{"sv"}, "Mottagningen Exempel (påhittad operatör)", "health", "000 00", blocksSE, []place{
		{"", "Stockholm", "SE-AB", "Stockholms län", 59.3293, 18.0686},
		{"", "Göteborg", "SE-O", "Västra Götalands län", 57.7089, 11.9746},
		{"", "Malmö", "SE-M", "Skåne län", 55.6050, 13.0038},
		{"", "Uppsala", "SE-C", "Uppsala län", 59.8586, 17.6389},
		{"", "Umeå", "SE-AC", "Västerbottens län", 63.8258, 20.2630},
		{"", "Linköping", "SE-E", "Östergötlands län", 58.4108, 15.6214},
	}},
	"FI": {"Europe/Helsinki", []string{"fi", "fi", "sv", "fi", "fi"}, "Esimerkkivirasto (kuvitteellinen ylläpitäjä)", "public_authority", "00000", blocksNowhere, []place{
		{"fi", "Helsinki", "FI-18", "Uusimaa", 60.1699, 24.9384},
		{"fi", "Tampere", "FI-11", "Pirkanmaa", 61.4978, 23.7610},
		{"fi", "Turku", "FI-19", "Varsinais-Suomi", 60.4518, 22.2666},
		{"fi", "Oulu", "FI-14", "Pohjois-Pohjanmaa", 65.0121, 25.4651},
		{"fi", "Kuopio", "FI-15", "Pohjois-Savo", 62.8924, 27.6770},
		{"sv", "Helsingfors", "FI-18", "Nyland", 60.1699, 24.9384},
		{"sv", "Åbo", "FI-19", "Egentliga Finland", 60.4518, 22.2666},
		{"sv", "Vasa", "FI-12", "Österbotten", 63.0951, 21.6165},
	}},
	"NL": {"Europe/Amsterdam", []string{"nl"}, "Stichting Voorbeeld (verzonnen beheerder)", "charity", "0000 AA", blocksNowhere, []place{
		{"", "Amsterdam", "NL-NH", "Noord-Holland", 52.3676, 4.9041},
		{"", "Rotterdam", "NL-ZH", "Zuid-Holland", 51.9244, 4.4777},
		{"", "Utrecht", "NL-UT", "Utrecht", 52.0907, 5.1214},
		{"", "Groningen", "NL-GR", "Groningen", 53.2194, 6.5665},
		{"", "Eindhoven", "NL-NB", "Noord-Brabant", 51.4416, 5.4697},
		{"", "Nijmegen", "NL-GE", "Gelderland", 51.8126, 5.8372},
	}},
	"MT": {"Europe/Malta", []string{"mt", "en", "mt"}, "Taqsima tal-Pulizija Eżempju (operatur fittizju)", "police_justice", "XXX 0000", blocksNowhere, []place{
		{"", "Valletta", "MT-60", "Valletta", 35.8989, 14.5146},
		{"", "Birkirkara", "MT-04", "Birkirkara", 35.8972, 14.4611},
		{"", "Mosta", "MT-32", "Mosta", 35.9097, 14.4261},
		{"mt", "Rabat, Għawdex", "MT-45", "Rabat Għawdex", 36.0444, 14.2397},
		{"en", "Victoria, Gozo", "MT-45", "Victoria", 36.0444, 14.2397},
	}},
	"CH": {"Europe/Zurich", []string{"de", "fr", "de", "it", "de", "fr", "en"}, "Klinik Beispiel – Clinique Exemple – Clinica Esempio (erfunden, fictive, fittizia)", "health", "0000", blocksNowhere, []place{
		{"de", "Zürich", "CH-ZH", "Zürich", 47.3769, 8.5417},
		{"de", "Basel", "CH-BS", "Basel-Stadt", 47.5596, 7.5886},
		{"de", "Bern", "CH-BE", "Bern", 46.9480, 7.4474},
		{"fr", "Genève", "CH-GE", "Genève", 46.2044, 6.1432},
		{"fr", "Lausanne", "CH-VD", "Vaud", 46.5197, 6.6323},
		{"it", "Lugano", "CH-TI", "Ticino", 46.0037, 8.9511},
		{"it", "Bellinzona", "CH-TI", "Ticino", 46.1946, 9.0244},
		{"en", "Zurich", "CH-ZH", "Zurich", 47.3769, 8.5417},
		{"en", "Geneva", "CH-GE", "Geneva", 46.2044, 6.1432},
	}},
	"GB": {"Europe/London", []string{"en"}, "Example Foundation (fictional operator)", "charity", "ZZ0 0ZZ", blocksGB, []place{
		{"", "London", "GB-ENG", "England", 51.5072, -0.1276},
		{"", "Nottingham", "GB-ENG", "England", 52.9548, -1.1581},
		{"", "Sheffield", "GB-ENG", "England", 53.3811, -1.4701},
		{"", "Edinburgh", "GB-SCT", "Scotland", 55.9533, -3.1883},
		{"", "Glasgow", "GB-SCT", "Scotland", 55.8642, -4.2518},
		{"", "Cardiff", "GB-WLS", "Wales", 51.4816, -3.1791},
		{"", "Belfast", "GB-NIR", "Northern Ireland", 54.5973, -5.9301},
	}},
}
