package webtest

// Sheet are the members of a country sheet in which everything is said and
// nothing is old at [Now].
const Sheet = `"crisis_contacts":[
{"kind":"child_helpline","value":"+990 000 000001","label":"Telefon dla dzieci","label_language":"pl","languages":["pl","uk"],"hours":{"zone":"Europe/Warsaw","weekly":[{"day":"MO","opens":"12:00","closes":"20:00"}]},"as_of":"2026-11-01","method":"called"},
{"kind":"emergency","value":"112","number_kind":"national_short_code","languages":["pl","en"],"hours":{"zone":"Europe/Warsaw","always_open":true},"as_of":"2026-11-02","method":"called"},
{"kind":"emotional_support","type":"live_chat","value":"https://chat.example.org/","label":"Rozmowa","label_language":"pl","languages":["pl"],"hours":{"not_stated":true},"as_of":"2026-10-05","method":"called"}],
"law_notes":[{"language":"pl","text":"Osoby pomagające muszą zgłosić tylko to, co opisano w ustawie.","as_of":"2026-06-01","review_due":"2027-05-01","reviewed_by":"radca prawny","source_url":"https://law.example.org/"},
{"language":"en","text":"Those who help must report only what the act names.","as_of":"2026-06-01","review_due":"2027-05-01","reviewed_by":"legal adviser","source_url":"https://law.example.org/"}],
"operator_statement":[{"language":"en","text":"Example Foundation runs this page. It is a charity.","as_of":"2026-11-01"}],
"exit_target":{"url":"https://weather.example.org/","label":"Pogoda","language":"pl","as_of":"2026-11-01"},
"notice_contact":{"value":"notices@example.org","languages":["pl","en"],"as_of":"2026-11-01"},
"public_page":{"url":"https://pl.example.org/","as_of":"2026-11-01"}`

// OldSheet are those of a sheet that nobody has looked after for months.
const OldSheet = `"crisis_contacts":[
{"kind":"emergency","value":"112","languages":["lt"],"hours":{"zone":"Europe/Vilnius","always_open":true},"as_of":"2026-08-01","method":"called"},
{"kind":"emotional_support","value":"+990 000 000002","label":"Pagalbos linija","label_language":"lt","languages":["lt"],"as_of":"2026-10-20","method":"web_only"},
{"kind":"mental_health","value":"+990 000 000003","label":"Niekada","languages":["lt"]}],
"law_notes":[{"language":"lt","text":"Pastaba apie teisę.","as_of":"2025-01-01","review_due":"2025-12-01","reviewed_by":"teisininkas","source_url":"https://law.example.org/"}]`
