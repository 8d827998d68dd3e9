"""Other names for the labels of lid.176: ISO 639-3 codes (the macrolanguage and the main member) and English names.

For hints only: a config names a language by the label of its model.
"""

from functools import cache

_NAMES = """
af afr Afrikaans|als gsw Alemannic, Swiss German|am amh Amharic|an arg Aragonese|ar ara arb Arabic|arz Egyptian Arabic
as asm Assamese|ast Asturian|av ava Avaric|az aze azj Azerbaijani|azb South Azerbaijani|ba bak Bashkir|bar Bavarian
bcl Central Bikol|be bel Belarusian|bg bul Bulgarian|bh bih Bihari|bn ben Bengali, Bangla|bo bod tib Tibetan
bpy Bishnupriya|br bre Breton|bs bos Bosnian|bxr Buriat|ca cat Catalan, Valencian|cbk Chavacano|ce che Chechen
ceb Cebuano|ckb Central Kurdish, Sorani|co cos Corsican|cs ces cze Czech|cv chv Chuvash|cy cym wel Welsh|da dan Danish
de deu ger German|diq Zazaki, Dimli|dsb Lower Sorbian|dty Doteli|dv div Divehi, Maldivian|el ell gre Greek
eml Emiliano-Romagnol|en eng English|eo epo Esperanto|es spa Spanish, Castilian|et est ekk Estonian|eu eus baq Basque
fa fas per pes Persian, Farsi|fi fin Finnish|fr fra fre French|frr Northern Frisian|fy fry Western Frisian, Frisian
ga gle Irish|gd gla Scottish Gaelic|gl glg Galician|gn grn Guarani|gom kok Konkani|gu guj Gujarati|gv glv Manx
he heb iw Hebrew|hi hin Hindi|hif Fiji Hindi|hr hrv Croatian|hsb Upper Sorbian|ht hat Haitian, Haitian Creole
hu hun Hungarian|hy hye arm Armenian|ia ina Interlingua|id ind in Indonesian|ie ile Interlingue|ilo Iloko|io ido Ido
is isl ice Icelandic|it ita Italian|ja jpn jp Japanese|jbo Lojban|jv jav Javanese|ka kat geo Georgian|kk kaz Kazakh
km khm Khmer|kn kan Kannada|ko kor kr Korean|krc Karachay-Balkar|ku kur kmr Kurdish|kv kom kpv Komi|kw cor Cornish
ky kir Kyrgyz|la lat Latin|lb ltz Luxembourgish|lez Lezghian|li lim Limburgish|lmo Lombard|lo lao Lao
lrc Northern Luri|lt lit Lithuanian|lv lav lvs Latvian|mai Maithili|mg mlg plt Malagasy|mhr Eastern Mari, Mari
min Minangkabau|mk mkd mac Macedonian|ml mal Malayalam|mn mon khk Mongolian|mr mar Marathi|mrj Western Mari
ms msa may zsm zlm Malay|mt mlt Maltese|mwl Mirandese|my mya bur Burmese|myv Erzya|mzn Mazanderani|nah Nahuatl
nap Neapolitan|nds Low German|ne nep npi Nepali|new Newari|nl nld dut Dutch, Flemish|nn nno Norwegian Nynorsk, Nynorsk
no nor nb nob Norwegian, Bokmål, Norwegian Bokmål|oc oci Occitan|or ori ory Odia, Oriya|os oss Ossetian
pa pan Punjabi, Panjabi|pam Pampanga|pfl Palatine German|pl pol Polish|pms Piedmontese|pnb Western Punjabi
ps pus pbt Pashto|pt por Portuguese|qu que Quechua|rm roh Romansh|ro ron rum mol Romanian, Moldovan|ru rus Russian
rue Rusyn|sa san Sanskrit|sah Yakut|sc srd Sardinian|scn Sicilian|sco Scots|sd snd Sindhi|sh hbs Serbo-Croatian
si sin Sinhala|sk slk slo Slovak|sl slv Slovenian, Slovene|so som Somali|sq sqi alb Albanian|sr srp Serbian
su sun Sundanese|sv swe Swedish|sw swa swh Swahili|ta tam Tamil|te tel Telugu|tg tgk Tajik|th tha Thai|tk tuk Turkmen
tl tgl fil Tagalog, Filipino|tr tur Turkish|tt tat Tatar|tyv Tuvinian|ug uig Uyghur|uk ukr ua Ukrainian|ur urd Urdu
uz uzb uzn Uzbek|vec Venetian|vep Veps|vi vie Vietnamese|vls West Flemish|vo vol Volapük|wa wln Walloon|war Waray
wuu Wu Chinese|xal Kalmyk|xmf Mingrelian|yi yid ydd Yiddish|yo yor Yoruba|yue Cantonese
zh zho chi cmn Chinese, Mandarin
"""


@cache
def _labels() -> dict[str, str]:
    """Code or English name, in lower case -> label."""
    found: dict[str, str] = {}
    for entry in _NAMES.strip().replace("\n", "|").split("|"):
        label, *words = entry.split()
        first = next(n for n, word in enumerate(words) if word[0].isupper())  # codes first, then names
        names = " ".join(words[first:]).split(", ")
        found |= dict.fromkeys([label, *words[:first], *(name.lower() for name in names)], label)
    return found


def label_of(name: str) -> str | None:
    """The label of lid.176 for a code or an English name; a code with a region or a script counts as the code."""
    known = _labels()
    name = name.strip().lower()
    return known.get(name) or known.get(name.replace("-", "_").partition("_")[0])
