"""Stop words of each language, and how many of them a document contains: running text cannot do without them.

Gopher asks for two of eight English words (appendix A1.1); this asks the same of a document in its own language, as FineWeb-2
does. The lists are ours: articles, pronouns, prepositions, conjunctions and forms of "to be", about fifteen to twenty words
per language. tests/benchmarks/stopwords.py measures how much good text passes, and how much text in other languages.

Words are divided as in `kernels.words`, in lower case. For a language without a list the signals are NaN, and a rule on one
drops the document as "stopwords_distinct.language", unless the rule's `languages` exclude the language.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.batch import Batch, FloatArray

LISTS = {
    "af": "die en van het nie dat met vir wat hy was ek sy hulle ons om te",
    "ar": "في من على إلى أن التي الذي هذا هذه عن مع كان لا ما هو هي أو قد كل",
    "az": "və bu bir ilə üçün də da ki olan o kimi daha sonra çox idi amma hər",
    "be": "і у не на што з як да гэта але ад па за яго для быў яна ён я мы",
    "bg": "и на да за се от не в че са като до по си е това или но той който",
    "bn": "এবং ও এই যে না করে থেকে তার একটি জন্য হয় সে কিন্তু আমি আমার কি এক তিনি",
    "bs": "i je u na se da za su od sa ne kao koji što bi ili ali ja to biti",
    "ca": "de la que i el en a els les per amb no un una és del al es com va",
    "cs": "a v je se na že s z do o to i jako za by ale pro jsem které byl jsou",
    "cy": "y yn a i o yr ar mae ei am gan wedi bod eu at oedd ac nid fel",
    "da": "og i at det er en til på af for med ikke som den har de et var jeg",
    "de": "der die und in den von zu das mit sich des auf ist nicht ein eine dem es er auch",
    "el": "και το να του η της με που για την από τα στο θα είναι δεν τον των ο οι",
    "en": "the of and to in a is that for it was on with as be by have this not are he",
    "eo": "la de kaj en al estas ne por kun ke sed oni mi li ĝi pri el kiu estis",
    "es": "de la que el en y los del se las por un para con no una su al es lo como",
    "et": "ja on ei et see ta oli kui ka mis oma aga või ma seda siis kes nii",
    "eu": "eta da ez du bat zen ere ziren dira baina hori izan nire dute zuen hau bere",
    "fa": "و در به از که این را با است آن برای یک خود تا بر او های هم ما نیز",
    "fi": "ja on ei että se oli hän mutta myös kun ovat jos tai kuin joka mitä niin ole minä",
    "fr": "de la le et les des en un du une que est pour qui dans sur pas il par au ne",
    "ga": "an na a ar agus i ag le is go tá do bhí sé mar ach nach den sin ní",
    "gu": "અને છે આ તે એક માટે પણ હતી હતો કે ન તો મને હું કરી નથી તેના પર",
    "he": "של את על לא הוא זה עם כל אני גם או כי היא אם יש אבל היה אל מה",
    "hi": "के है में की से को और का हैं पर यह ने कि एक नहीं भी था इस वह लिए",
    "hr": "i je u na se da za su od s ne kao koji što bi ili ali ja to biti",
    "hu": "a az és hogy nem is egy van de meg ha csak már volt mint ez azt vagy",
    "hy": "և է ու են որ այդ այս նա էր մի համար իր ես հետ չի ինչ կամ մեջ",
    "id": "yang dan di dengan untuk dari ini itu tidak pada adalah dalam ke saya akan juga oleh ada",
    "is": "og að í á er ekki sem til við það um en var með af hann hún ég fyrir",
    "it": "di e che il la in un per non è una del le si con da i sono dei al come",
    "ja": "の は を に が で と も た て し な い か ら",
    "ka": "და ეს რომ არ იყო არის თუ მე მისი კი მაგრამ რა მან ის როგორც უნდა იმ",
    "kk": "және бұл мен бір деп да де үшін ол еді болып бар осы сол емес біз не",
    "ko": "은 는 이 가 을 를 에 의 도 로 고 다 하 지",
    "la": "et in est non ad cum ut quod sed qui ex esse si per ab sunt hoc quae atque",
    "lt": "ir yra kad su iš į ne kaip bet tai jis buvo ar už jo aš nuo labai po",
    "lv": "un ir ka no ar par uz kā bet tas nav vai arī lai viņš bija es ko tā",
    "mk": "и на во се да од за не со што ги е како го тој ќе беше ја но или",
    "mr": "आहे आणि या हे की तो ते आहेत होता होते मी पण एक नाही मला का हा केला",
    "ms": "yang dan di dengan untuk dari ini itu tidak pada adalah dalam ke saya akan juga oleh ada telah",
    "nl": "de het een van en in is dat op te voor zijn met niet die aan er om ook als",
    "nn": "og i det er på til som at ein ikkje av for eit med den dei eg har var",
    "no": "og i det er på til som at en ikke av for et med den de jeg har var",
    "pa": "ਦੇ ਹੈ ਦੀ ਦਾ ਨੂੰ ਵਿੱਚ ਅਤੇ ਨੇ ਇਹ ਇਸ ਨਾਲ ਲਈ ਵੀ ਕਿ ਨਹੀਂ ਸੀ ਤੋਂ ਮੈਂ ਹਨ",
    "pl": "w i na nie się z że do to jest o jak po co ale za od tym są przez był",
    "pt": "de a que o e do da em um para com não uma os no se na por mais as dos",
    "ro": "și de în la cu a nu că o să pe din este care un pentru mai au se al",
    "ru": "и в не на что с он как это по но из у за от к я его для бы так",
    "si": "සහ මෙම ඒ වන ද බව හා නමුත් එය මම ඔහු විසින් සඳහා ඇත මේ එක් නැත",
    "sk": "a v sa na je že s do o to z ako aj ale za by pre som ktoré bol sú",
    "sl": "in je v na se da so za z ne ki pa kot bi sem tudi ali od po bil ni",
    "sn": "uye kuti ne pa kana asi zvakare iyi izvi ndi kwete uyu ari iye vanhu ano rwe",
    "so": "iyo oo in ka ku ay waa ah la waxaa uu u aan waxa kale isku si lagu",
    "sq": "të e në dhe i për që një me nga është se nuk do ka si por më u janë",
    "sr": "и је у на се да за су од са не као који što je u na se da za su od i",
    "sv": "och i att det som en på är av för med den till inte de har ett om jag var",
    "sw": "ya na wa kwa ni katika la za kama hii huo au cha kuwa hakuna mimi yake wake si",
    "ta": "மற்றும் ஒரு இந்த என்று அந்த இது அவர் என நான் உள்ள அது ஆகும் என்ன கொண்டு போல ஆனால் தான்",
    "te": "మరియు ఈ ఒక ఆ నేను కానీ అని లేదా అతను ఇది కోసం నుండి వారు ఉంది కూడా",
    "th": "ที่ และ การ ใน ของ ไม่ เป็น มี ได้ ให้ จะ ว่า กับ จาก แต่ หรือ นี้ คน",
    "tl": "ang ng sa na mga ay at ko hindi si ni para ito ako kung siya niya may nang",
    "tr": "ve bir bu da de için ile çok olarak daha ne o gibi kadar ama değil olan var en",
    "uk": "і в не на що з як до та за це але від по його для був я він у й",
    "ur": "کے کی ہے میں سے کو اور کا نے یہ ہیں پر کہ اس بھی ایک نہیں تھا وہ کر",
    "vi": "và của là có không các được cho trong một những người đã với này để khi đến",
    "xh": "kwaye ukuba kunye le okanye ke ngokuba kuba nge na xa zonke oku loo ku ukuze umntu",
    "yo": "ti ni ó àti ń náà fún kan sí pé tí a ṣe rẹ̀ wọ́n bí lè ní",
    "zh": "的 是 在 不 了 有 和 人 这 為 我 他 以 也 与 就 对 與 這 們 们 一",
    "zu": "ukuthi futhi noma ngoba kanye lo na uma le yini wonke kodwa ngi ku nge umuntu ukuba",
}
"""By fastText's label. Words may end in combining marks; they are compared as written here."""
LANGUAGES = tuple(LISTS)
"""The labels of the languages that have a list; for others both signals are NaN."""

ATTACHED = frozenset(("ja", "ko", "th", "zh"))
"""Languages written without spaces, or with particles attached to words: a stop word counts wherever its letters occur."""


def stopwords_distinct(docs: Batch) -> FloatArray:
    """How many stop words of the document's language (English if unknown) occur; each counts once. NaN without a list."""
    return _found(docs)[0]


def stopwords_ratio(docs: Batch) -> FloatArray:
    """Stop words of the document's language per word (per letter in scripts without spaces); NaN without a list or words."""
    return _found(docs)[1]


def _found(docs: Batch) -> tuple[FloatArray, FloatArray]:
    if "stopwords" not in docs.shared:
        docs.shared["stopwords"] = _count(docs)
    counts: tuple[FloatArray, FloatArray] = docs.shared["stopwords"]
    return counts


def _count(docs: Batch) -> tuple[FloatArray, FloatArray]:
    from pipeline.filters.kernels.token_spans import find_tokens

    distinct, share = np.full(len(docs), np.nan), np.full(len(docs), np.nan)
    labels = np.full(len(docs), "en", object) if docs.languages is None else _strings(docs.languages)
    for label in sorted({label for label in labels if label in LISTS}):
        rows = np.nonzero(labels == label)[0]
        words = LISTS[label].split()
        texts = pc.fill_null(pc.utf8_lower(docs.array.take(pa.array(rows))), "")
        lengths = docs.words.words[rows].astype(np.float64)
        if label in ATTACHED:
            counts = np.stack([pc.count_substring(texts, word).to_numpy(zero_copy_only=False) for word in words])
        else:
            tokens, word_tokens = find_tokens(texts), find_tokens(pa.array(words))
            word_hashes = word_tokens.hashes[word_tokens.offsets[:-1]]
            order = np.argsort(word_hashes)
            word_index = np.minimum(np.searchsorted(word_hashes[order], tokens.hashes), len(words) - 1)
            is_stop_word = word_hashes[order][word_index] == tokens.hashes
            document = np.repeat(np.arange(len(rows)), np.diff(tokens.offsets))
            counts = np.zeros((len(words), len(rows)), np.int64)
            np.add.at(counts, (word_index[is_stop_word], document[is_stop_word]), 1)
        distinct[rows] = (counts > 0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            share[rows] = np.where(lengths > 0, counts.sum(axis=0) / lengths, np.nan)
    return distinct, share


def _strings(labels: pa.Array) -> npt.NDArray[Any]:
    return np.asarray(labels.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)


SIGNALS = (stopwords_distinct, stopwords_ratio)
