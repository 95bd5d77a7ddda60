package analysis

// stopWords are the words of each language that carry nothing in a question.
// They are indexed, so that phrases find them, but a question in their
// language does not insist on them. Folded, as in the index.
var stopWords = wordSets(map[string]string{
	"cs": `a aby ale ani az bez by byl bych co ci do i jak jako jako je jeho jen ji jsem jsme jsou k ke kde kdo kdy ktera ktere ktery ma mam me mi mit mne moje muj muze na nad ne nebo nejsem o od on ona po pod podle pro proti protoze s se si svuj tak ten to tu u uz v ve z za ze`,
	"de": `aber als am an auch auf aus bei bin bis das dass dem den der des die dies doch du durch ein eine einem einen einer er es fur hat habe haben ich ihr im in ist ja kann man mein meine meinem meinen meiner mich mir mit nach nicht noch nur ob oder sein sich sie sind so uber um und uns von vor war was wenn wer wie wir wo zu zum zur`,
	"el": `αλλα αν απο αυτο για δε δεν ειμαι ειναι εχω ενα ενασ η θα και κατα με μεσα μετα μη μην μια μου να ο οι οπωσ οτι ου πωσ που προσ σε στα στη στην στισ στο στον στουσ τα την τησ τι τισ το τον του τουσ των ωσ`,
	"en": `a about am an and are as at be but by can do does for from have how i if in into is it its me my not of on or our s so t that the their them they this to was we what when where which who will with you your`,
	"fi": `ei en etta he hanen han ja jo jos joka jotka kanssa kuin kun me mika mina minun minulla minulle minua mita mutta myos ne niin nyt on oli olen olla ole ovat se sen sina sinun tai tama te vai voi`,
	"fr": `a ai au aux avec c ce ces cette d dans de des du elle en est et eu il ils j je l la le les leur lui m ma mais me mes moi mon n ne nos notre nous on ou par pas pour qu que qui s sa se ses si son sont suis sur t ta te tes toi ton tu un une vos votre vous y`,
	"it": `a ad ai al alla alle allo anche c che chi ci come con d da dal dalla dei del della delle di e ed gli ha ho i il in io l la le lei lo loro ma me mi mia mie mio nel nella noi non o per piu si se sono su sua suo sul sulla ti tra tu un una uno vi voi`,
	"lt": `ant ar as bet bei be buti del i ir is iki jei ji jie jis jog ju juos kad kai kaip kas ko kur man mane mano mes ne nes net nuo o pas per po prie su sau tai tas tau tave tavo tik to tu uz yra`,
	"mt": `ahna ak bhal bi bil biex bl bla cs da dak dan dawn dawk di dil dan din f fi fil fejn fl fuq ghal ghall ghalik ghandi ghax hi hija hu huma huwa i ic id ie ied ig ih ij ik il ill im in int intom inti ir is it ix iz jekk jien jiena jew kif l li lil ma meta mill mit minn mil mis min n ic ohra r s sa sal sas sat si t ta tal tas tat tan tar u x xi z`,
	"nl": `aan al als bij dan dat de den der deze die dit door een en er haar heb hebben heeft het hij hoe hun ik in is je kan kunnen maar me met mij mijn na naar niet of om onder ook op over te tot u uit uw van veel voor waar was wat we wie wij worden ze zich zij zijn zo`,
	"no": `a alle at av bare da de deg dei dem den der deres det din du eg ein eit en er et etter for fra ha han hans har her hun hva hvem hvis hvor i ikke ikkje jeg kan med meg men min mitt mot nar noe nok og om opp oss over pa sa seg selv sin skal som til ut var ved vi vil`,
	"pl": `a aby ale bez bo by byc byl bylo co czy dla do gdy gdzie go i ich ja jak jako je jego jej jest jestem jesli juz kiedy kto ktora ktore ktory lub ma mam mi mna mnie moj moja moje mojego na nad nie nim niz o od on ona oni oraz po pod przed przez przy sa sie swoj ta tak tam te tego ten to tu ty u w we z za ze`,
	"sv": `alla att av bara de dem den deras dess det dig din du eller en er ett for fran ha han har hon hur i icke inte ja jag kan kunna med men mig min mina mitt mot nar nagon nagot ni nu och om oss pa sa sin ska som till ut under vad var vara vart vem vi vid vill`,
})

// idleWords are what questions ask of everything that is listed here, so that
// they tell no listing from another. Folded.
var idleWords = wordSets(map[string]string{
	"cs": `proc nekoho nekomu nekym centrum sam podpora podpory podporu vim nevim delat udelat rict sobe pomoc pomoci pomoct pomozte pomuze hledam potrebuji potrebuju chci chtel chtela najit nekdo neco muzu sluzba sluzby prosim mohu vubec porad mozna porad svoje svych svymi svoji svou sve`,
	"de": `warum wieso zentrum einrichtung sind wird meinen unterstutzung unterstutze weiss machen tun mache wurde sagen hilfe helfen hilft suche suchen brauche brauchen will mochte mochten finden finde jemand jemanden jemandem etwas bitte dienst angebot angebote bekommen bekomme wohin kann konnen muss eigene eigenen eigener meines seine seinen seiner ihre ihren wegen`,
	"el": `γιατι κεντρο νιωθω αισθανομαι καπου στηριξη στηριξησ κανω ξερω πω μου βοηθεια βοηθειασ βοηθησει βοηθηστε βοηθησω χρειαζομαι θελω ψαχνω βρω βρισκω καποιοσ καποιον κατι παρακαλω υπηρεσια υπηρεσιεσ ζηταω ζητω μπορω εχω δικεσ μεσω σασ`,
	"en": `why centre center support supports know do doing tell say feel feeling feelings keep might maybe myself help helps helping need needs want wants looking find finding get getting someone somebody anyone please service services could would should am been being having has had im ive dont don ve re ll own really very some any there else something`,
	"fi": `miksi keskus olen jollekin jonkin ole han hanen minua tuki tukea tuen tieda tiedan tehda teen sanoa apu apua avun auttaa auta tarvitsen haluan haluaa etsin loytaa loydan joku jonkun jotain palvelu palvelut palvelua saada saan mista missa miten voin omat omista omia itse pitaa`,
	"fr": `pourquoi centre soutien soutenir sais savoir dire sens peut aide aider aidez besoin veux voudrais cherche chercher trouver quelqu quelque chose service services svp puis peux avoir suis faire fait comment etre etes soi meme propres`,
	"it": `perche modo centro sostegno supporto so sapere dire sento puo fare aiuto aiutare aiutatemi bisogno voglio vorrei cerco cercare trovare qualcuno qualcosa servizio servizi favore posso avere sono fare essere miei propri proprie suoi stesso`,
	"lt": `kodel centras centro kam parama paramos parama zinau zinoti daryti pasakyti noreciau pagalba pagalbos pagalba pagalbai pagalbą padeti padekite reikia noriu ieskau rasti kazkas kazka prasau paslauga paslaugos galiu gauti savo turiu`,
	"mt": `ghaliex centru mod qed xi hu appogg naf naghmel nghid nhossni rrid ghajnuna jghin jghinni tghin nghin bzonn irrid nixtieq nfittex insib jekk xi hadd servizz servizzi joghgbok nista ghandi stess tieghi tieghek`,
	"nl": `waarom centrum ben bent dat doe jij doet hem steun ondersteuning weet doen zeggen voel voelen mezelf hulp helpen helpt nodig wil wilt zoek zoeken vinden vind iemand iets dienst alstublieft krijgen krijg moet eigen willen`,
	"no": `hvorfor senter er blir seg hennes ikke stotte vet gjore si foler hjelp hjelpe trenger onsker leter finne noen noe tjeneste tjenester venligst vennligst fa far egne kunne burde ma`,
	"pl": `dlaczego czemu osrodek komus kims wsparcie wsparcia wiem wiedziec robic zrobic powiedziec czuje nad soba pomoc pomocy pomoca pomoz pomozcie pomaga szukam potrzebuje chce chcialbym chcialabym znalezc ktos kogos cos usluga uslugi prosze moge mozna moich swoich swoje wlasne wlasnych mam jest dostac`,
	"sv": `varfor center ar bli blir hans hennes sig inte stod stodja vet gora saga kanner hjalp hjalpa hjalper behover vill soker hitta finna nagon nagot tjanst tjanster snalla fa kunna egna borde maste`,
})

// wordSets reads lists of words by the code of their language.
func wordSets(lists map[string]string) (out [Count]map[string]struct{}) {
	for lang, list := range lists {
		set := map[string]struct{}{}
		for _, w := range Fold(list) {
			set[w] = struct{}{}
		}
		out[Find(lang)] = set
	}
	return out
}

// Stop tells whether a folded word carries nothing in the language. Of an
// [Unknown] one nothing is known to.
func (l Language) Stop(word string) bool {
	if l < 0 {
		return false
	}
	_, ok := stopWords[l][word]
	return ok
}

// Idle tells whether a question in the language does not insist on a folded
// word: it carries nothing, or is what a question asks of everything here,
// such as "help", "need" or "find".
func (l Language) Idle(word string) bool {
	if len(word) == 1 && (word[0] < '0' || word[0] > '9') {
		return true // what an apostrophe left: l', s', 'm
	}
	if l < 0 {
		return false
	}
	_, ok := idleWords[l][word]
	return ok || l.Stop(word)
}
