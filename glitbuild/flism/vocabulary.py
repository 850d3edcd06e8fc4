"""Words and marks that decide where a caption's sentence ends."""

# ruff: noqa: RUF001 (marks of other scripts are meant)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SOFT_STOPS = frozenset(".!?…‥\u203c\u203d\u2047\u2048\u2049")
"""Stops that may also stand inside a sentence: what surrounds them decides."""

HARD_STOPS = frozenset(
    "\u3002\uff61\uff01\uff1f\uff0e\u037e\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u0964\u0965\u104b"
    "\u1362\u1367\u1368\u166e\u17d4\u17d5\u1803\u1809\u1944\u1945\u1c7e\u1c7f\u0f0d\u0f0e\ua4ff\uabeb\ufe12\ufe52\ufe56\ufe57"
)
"""Stops of other scripts, most of Unicode's Sentence_Terminal, which end a sentence without white space too."""

STOPS = SOFT_STOPS | HARD_STOPS

NO_STARTS = frozenset(",;:)]}\u060c\u061b\u3001\uff0c\uff1b\uff1a")
"""Marks that no sentence begins with."""

QUOTES = {'"': 0, "“": 1, "„": 1, "«": 1, "”": -1, "»": -1}
"""Quotation marks: +1 where a mark always opens, -1 where it always closes, 0 where it does either."""

CLOSERS = dict(zip("([{（［｛【〔「『《〈‹", ")]}）］｝】〕」』》〉›", strict=True))
"""Brackets, and quotation marks of which every one looks to its side, with what closes them."""

BRACKETS = frozenset(")]}）］｝】〕")
APOSTROPHES = frozenset("'\u2019")
DASHES = frozenset("-–—")

ELISIONS = _set("tis twas em til n cause cept round bout")
"""Words that an apostrophe, not a quotation mark, stands before."""

TITLES = _set(
    "mr mrs ms mx dr prof gen gov sen rep rev hon capt cpt lt sgt cpl pvt col maj cmdr adm pres supt messrs "
    "mme mlle mt mts ca approx vs cf viz esp incl resp avg eg ie núm ул им dott डॉ डा प्रो"
)
"""Abbreviations that do not end a sentence."""

ABBREVIATIONS = _set(
    "st ste jr sr inc co corp ltd llc bros ave blvd rd hwy rte ln ctr etc al dept est univ inst assn assoc "
    "intl natl mfg dist bldg misc orig alum sq cu vol vols chap ph sc esq pop nr str ud uds fr г гг руб стр "
    "рис тыс"
)
"""Abbreviations that end a sentence only where a usual first word of a sentence follows."""

REFERENCES = _set(
    "no nos vol vols fig figs pp pg ch chap sec sect pt ver vers op nr ed apt rm bldg ste ext rte hwy pl col "
    "tab eq ex pop est tel max min temp dia diam art lot qty ref bk стр рис núm"
)
"""Abbreviations, some of them words as well, that do not end a sentence where a number follows."""

UNITS = _set(
    "in ft yd yds mi lb lbs oz gal qt pt cm mm km kg mg ml cc tbsp tsp pkg pc pcs doz mph kph hr hrs min mins "
    "sec secs yr yrs mo mos wk wks deg rpm dia diam ht wt sq cu"
)
"""Units of measure, which after a number do not end a sentence if it goes on in lower case or with a number."""

ALWAYS_UNITS = _set("ft yd yds lb lbs oz qt cm mm km kg mg ml tbsp tsp pkg pcs mph kph hrs mins yrs")
"""Units that are no words, so they need no number before them."""

DIMENSIONS = _set("long wide tall high deep thick across apart square by x diameter")
"""What follows the unit "in." but seldom the word "in"."""

NUMBER_WORDS = _set(
    "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty hundred "
    "few several half"
)

MONTHS = _set("jan feb mar apr jun jul aug sep sept oct nov dec")
DAYS = _set("Mon Tue Tues Wed Weds Thu Thur Thurs Fri Sat Sun")
FULL_DATES = _set(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July "
    "August September October November December"
)
ORDINAL_MONTHS = _set(
    "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Januari "
    "Februari Mars Maj Marts Juli Oktober"
)
"""Months before which a number and a full stop are a day: "3. Oktober"."""

ZONES = _set("EST EDT ET CST CDT CT MST MDT MT PST PDT PT GMT UTC CET CEST BST")

DOTTED = _set("e.g i.e a.k.a c.f z.b d.h u.a т.е т.д т.п p.ej")
"""Abbreviations of several full stops that do not end a sentence."""

LETTER_NOUNS = _set("letter letters vitamin hepatitis")
"""Words after which a single capital is a letter, not an initial."""

LABEL_NOUNS = _set("step item object figure fig part panel image photo picture scene point section example")
"""Words that with a number are the heading of a list's item: "Step 1."."""

COMPANIES = _set("Inc Corp Ltd Co LLC")
"""What follows a company's name, with or without a mark of its own: "Yahoo! Inc."."""

EXTENSIONS = _set("Com Org Net Edu Gov Io Txt Jpg Jpeg Png Gif Pdf Md Html Js Py Json Csv Tar Zip Webp")
"""What after a full stop makes a name of a file or of a host, not a sentence."""

CLAUSE_STARTERS = _set("The There It This These They In On At To Behind Above Below An A")
"""Capitalised words that begin a sentence even after a comma or no mark at all: a mistyped full stop."""

STARTERS = CLAUSE_STARTERS | _set(
    "Its Those That He She His Her Under Underneath Beneath Beside Beyond Between Near Nearby Next From With "
    "Along Around Across Over Inside Outside Both One Two Three Four Five Six Some All Each Another While "
    "When Where As Directly Surrounding Many Several Most Few Every Other Others Nobody Someone Everyone "
    "Nothing Everything People Also Then However After Before Because Throughout Within Among Against Atop "
    "Toward Towards Overall Additionally Furthermore Only We You Our Your But And If For By Here Who What "
    "Nearly Visible Hanging Standing Sitting"
)

CONTINUES = _set("the there it this these they")
"""Words in lower case that begin a sentence rather than go on after a unit: "is 12 in. the lid is red"."""

OPEN_ENDS = _set("a an the of and or with from into his her its their as than number no")
"""Words that no line's last sentence ends with: the line was only wrapped."""

DETERMINERS = _set("a an one two three four five six seven eight nine ten some several many another no")
"""First words of a list's items without a mark."""

LINE_ENDS = OPEN_ENDS | _set(
    "in on at to by near beside behind under over between for is are that which who holding"
)
"""Words that an item without a mark does not end with."""

PARTICLES = ("と", "って", "の", "が", "を", "は", "に", "も", "で", "へ")
"""What goes on with a Japanese sentence after a closing quotation mark."""

NO_PARTICLES = (
    "とても",
    "となり",
    "ところ",
    "はい",
    "もう",
    "もし",
    "もちろん",
    "でも",
    "では",
    "にぎ",
    "のど",
    "はじ",
)
