package analysis

import "strings"

// stopWords are the words of each language that carry nothing in a question.
// They are indexed, so that phrases find them, but a question in their
// language does not insist on them. Folded, as in the index.
var stopWords = func() [Count]map[string]struct{} {
	var out [Count]map[string]struct{}
	for lang, list := range map[string]string{
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
	} {
		set := map[string]struct{}{}
		for _, w := range strings.Fields(list) {
			set[w] = struct{}{}
		}
		out[Find(lang)] = set
	}
	return out
}()

// Stop tells whether a folded word carries nothing in the language. Of an
// [Unknown] one nothing is known to.
func (l Language) Stop(word string) bool {
	if l < 0 {
		return false
	}
	_, ok := stopWords[l][word]
	return ok
}
