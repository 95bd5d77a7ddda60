package main

import "golang.org/x/text/language"

// sheetTexts are the words of an invitation sheet in one language.
type sheetTexts struct {
	Language           language.Tag
	Title, Lead, Demo  string
	Code               string // for those who hear the page
	Invited, By, Until string // the facts
	ID, Contact        string
	Heading            string // over the steps
	Init, Join, Serve  string
	Placeholder        string // of the command in the second step
	WarnHeading, Warn  string
	Offline, Once      string
	File, Out          string // of the command without a connection
	Month              [12]string
	Day                string // how a day, a month, a year and a time are put together
}

// sheetEnglish is on every sheet.
var sheetEnglish = sheetTexts{
	Language: language.English,
	Title:    "Invitation", Lead: "With this sheet one country may ask to join, once.",
	Demo: "This is a demonstration. Everything in it is fictional.",
	Code: "The code, in numbered groups", Invited: "Invited", By: "Invited by", Until: "Valid until", ID: "Id of the federation", Contact: "Your node calls",
	Heading: "Three steps",
	Init:    "Set your node up, on a machine that stays on:",
	Join:    "Ask to join. Type the code above, group by group, or let the square be read and paste what it says. The numbers before the groups are not part of the code; a mistyped group is named. You are shown three numbers.",
	Serve:   "Compare the numbers by telephone, see below, and start the node:", Placeholder: "CODE",
	WarnHeading: "Telephone, and compare the numbers",
	Warn:        "Call the country that invites you, on a number that you had before this sheet – never on one that came with it. Each side reads its three numbers aloud. If they are the same, all is well. If not, somebody stands between you: stop, and admit nobody.",
	Offline:     "No connection? Take the invitation file instead, and carry the request on a stick:",
	Once:        "Keep this sheet like a key until it is used. It works once; then destroy it.",
	File:        "FILE", Out: "OUT",
	Month: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	Day:   "%[1]d %[2]s %[3]d, %[4]s UTC",
}

// sheetOthers are the further languages, each with the countries whose sheet it
// stands on beside English.
var sheetOthers = []struct {
	countries []string
	sheetTexts
}{
	{[]string{"DE", "AT", "CH", "LI"}, sheetTexts{
		Language: language.German,
		Title:    "Einladung", Lead: "Mit diesem Blatt darf ein Land einmal um Aufnahme bitten.",
		Demo: "Dies ist eine Vorführung. Alles darin ist erfunden.",
		Code: "Der Code in nummerierten Gruppen", Invited: "Eingeladen", By: "Eingeladen von", Until: "Gültig bis", ID: "Kennung des Verbunds", Contact: "Ihr Knoten ruft an",
		Heading: "Drei Schritte",
		Init:    "Richten Sie Ihren Knoten ein, auf einem Rechner, der eingeschaltet bleibt:",
		Join:    "Bitten Sie um Aufnahme. Tippen Sie den Code oben Gruppe für Gruppe ab, oder lassen Sie das Quadrat lesen und fügen Sie ein, was darin steht. Die Zahlen vor den Gruppen gehören nicht zum Code; eine vertippte Gruppe wird genannt. Ihnen werden drei Zahlen gezeigt.",
		Serve:   "Vergleichen Sie die Zahlen am Telefon, siehe unten, und starten Sie den Knoten:", Placeholder: "CODE",
		WarnHeading: "Anrufen und die Zahlen vergleichen",
		Warn:        "Rufen Sie das Land an, das Sie einlädt, unter einer Nummer, die Sie vor diesem Blatt hatten – nie unter einer, die mit ihm kam. Jede Seite liest ihre drei Zahlen vor. Sind sie gleich, ist alles gut. Wenn nicht, steht jemand zwischen Ihnen: Hören Sie auf, und nehmen Sie niemanden auf.",
		Offline:     "Keine Verbindung? Nehmen Sie die Einladungsdatei, und lassen Sie die Anfrage auf einem Stick bringen:",
		Once:        "Bewahren Sie dieses Blatt wie einen Schlüssel auf, bis es benutzt ist. Es gilt einmal; danach vernichten Sie es.",
		File:        "DATEI", Out: "ANFRAGE",
		Month: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
		Day:   "%[1]d. %[2]s %[3]d, %[4]s UTC",
	}},
	{[]string{"PL"}, sheetTexts{
		Language: language.Polish,
		Title:    "Zaproszenie", Lead: "Z tą kartką jeden kraj może raz poprosić o przyjęcie.",
		Demo: "To jest pokaz. Wszystko w nim jest zmyślone.",
		Code: "Kod w numerowanych grupach", Invited: "Zaproszony kraj", By: "Zaprasza", Until: "Ważne do", ID: "Identyfikator federacji", Contact: "Twój węzeł łączy się z",
		Heading: "Trzy kroki",
		Init:    "Przygotuj swój węzeł na komputerze, który pozostaje włączony:",
		Join:    "Poproś o przyjęcie. Przepisz kod podany wyżej, grupa po grupie, albo odczytaj kwadrat i wklej to, co zawiera. Numery przed grupami nie należą do kodu; błędnie wpisana grupa zostanie wskazana. Zobaczysz trzy liczby.",
		Serve:   "Porównaj liczby przez telefon, patrz niżej, i uruchom węzeł:", Placeholder: "KOD",
		WarnHeading: "Zadzwoń i porównaj liczby",
		Warn:        "Zadzwoń do kraju, który cię zaprasza, na numer, który był ci znany przed tą kartką – nigdy na numer, który przyszedł razem z nią. Każda strona odczytuje na głos swoje trzy liczby. Jeśli są takie same, wszystko jest w porządku. Jeśli nie, ktoś stoi między wami: przerwij i nikogo nie przyjmuj.",
		Offline:     "Brak połączenia? Weź plik zaproszenia i przekaż prośbę na nośniku USB:",
		Once:        "Do chwili użycia przechowuj tę kartkę jak klucz. Działa raz; potem ją zniszcz.",
		File:        "PLIK", Out: "PROŚBA",
		Month: [12]string{"stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca", "sierpnia", "września", "października", "listopada", "grudnia"},
		Day:   "%[1]d %[2]s %[3]d, %[4]s UTC",
	}},
	{[]string{"LT"}, sheetTexts{
		Language: language.Lithuanian,
		Title:    "Kvietimas", Lead: "Su šiuo lapu viena šalis gali vieną kartą paprašyti būti priimta.",
		Demo: "Tai demonstracija. Viskas joje išgalvota.",
		Code: "Kodas sunumeruotomis grupėmis", Invited: "Kviečiama šalis", By: "Kviečia", Until: "Galioja iki", ID: "Federacijos identifikatorius", Contact: "Jūsų mazgas jungiasi prie",
		Heading: "Trys žingsniai",
		Init:    "Paruoškite savo mazgą kompiuteryje, kuris lieka įjungtas:",
		Join:    "Paprašykite būti priimti. Įveskite aukščiau esantį kodą grupę po grupės arba nuskaitykite kvadratą ir įklijuokite, kas jame parašyta. Skaičiai prieš grupes nėra kodo dalis; neteisingai įvesta grupė bus nurodyta. Pamatysite tris skaičius.",
		Serve:   "Palyginkite skaičius telefonu, žr. žemiau, ir paleiskite mazgą:", Placeholder: "KODAS",
		WarnHeading: "Paskambinkite ir palyginkite skaičius",
		Warn:        "Paskambinkite jus kviečiančiai šaliai numeriu, kurį turėjote prieš gaudami šį lapą – niekada tuo, kuris atėjo kartu su juo. Kiekviena pusė garsiai perskaito savo tris skaičius. Jei jie vienodi, viskas gerai. Jei ne, kažkas stovi tarp jūsų: sustokite ir nieko nepriimkite.",
		Offline:     "Nėra ryšio? Paimkite kvietimo failą ir perduokite prašymą atmintuke:",
		Once:        "Iki panaudojimo saugokite šį lapą kaip raktą. Jis galioja vieną kartą; paskui jį sunaikinkite.",
		File:        "FAILAS", Out: "PRAŠYMAS",
		Month: [12]string{"sausio", "vasario", "kovo", "balandžio", "gegužės", "birželio", "liepos", "rugpjūčio", "rugsėjo", "spalio", "lapkričio", "gruodžio"},
		Day:   "%[3]d m. %[2]s %[1]d d., %[4]s UTC",
	}},
}

// textsFor are the languages of a country's sheet, English first.
func textsFor(country string) []sheetTexts {
	texts := []sheetTexts{sheetEnglish}
	for _, o := range sheetOthers {
		for _, c := range o.countries {
			if c == country {
				texts = append(texts, o.sheetTexts)
			}
		}
	}
	return texts
}
