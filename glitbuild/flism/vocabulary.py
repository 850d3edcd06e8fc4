"""Words and marks that decide where a caption's sentence ends, and the kinds of abbreviation."""

from collections.abc import Sequence
from enum import Enum, auto

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


LONGEST_DOTTED = 4
"""Letters with a full stop each that are looked back at."""


class Kind(Enum):
    """How a word's full stop tells on a sentence's end."""

    NONE = auto()
    """No abbreviation."""
    NEVER = auto()
    """It ends no sentence: "Dr.", "e.g."."""
    RARELY = auto()
    """It ends one only before a usual first word: "Inc.", "U.S."."""
    LETTER = auto()
    """A single letter: an initial, or the letter itself; else as RARELY."""
    CLOCK = auto()
    """"a.m." and "p.m."."""
    DATE = auto()
    """A month or a day of the week."""
    REFERENCE = auto()
    """A word as well, such as "no" or "fig": an abbreviation only before a number."""
    UNIT = auto()
    """A unit after a number: it ends one before every capital."""
    SIZE = auto()
    """A unit after an article and a number, "a 12 in. Samsung": as RARELY."""


def abbreviation(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Return what kind of abbreviation the full stop ``words[stop]`` belongs to."""
    if stop == 0 or gaps[stop - 1]:
        return Kind.NONE
    word = words[stop - 1]
    if len(word) == 1:
        return _letter(words, gaps, stop)
    if word[0].isnumeric() and "-" in word and word.rpartition("-")[2].lower() in UNITS:
        return Kind.SIZE  # "a 12-in. pan"
    low = word.lower()
    if len(word) > 8 or not word[0].isalpha():
        return Kind.NONE
    if low in MONTHS or word in DAYS:
        return Kind.DATE
    if low in TITLES:
        return Kind.NEVER
    if low in UNITS:
        unit = _unit(words, gaps, stop)
        if unit is not Kind.NONE:
            return unit
    if low in ABBREVIATIONS or low in ALWAYS_UNITS:
        return Kind.RARELY
    if low in REFERENCES:
        return Kind.RARELY if word[0].isupper() and low in ("fig", "figs", "pt") else Kind.REFERENCE
    dotted = stop > 2 and words[stop - 2] == "." and not gaps[stop - 2] and not gaps[stop - 3]
    if (
        dotted
        and len(word) < 4
        and word.isalpha()
        and (len(words[stop - 3]) == 1 or words[stop - 3].lower() in TITLES)
    ):
        return Kind.RARELY  # "M.Sc."
    return Kind.NONE


def is_initial(words: Sequence[str], gaps: Sequence[str], i: int) -> bool:
    """Tell whether word i is a capital with a full stop, such as the A of "A. Smith"."""
    return len(words[i]) == 1 and words[i + 1 : i + 2] == ["."] and not gaps[i]


def _letter(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Judge a single letter's full stop."""
    letter = words[stop - 1]
    if not letter.isalpha() or letter >= "\u2e80":
        return Kind.NONE
    parts = [letter.lower()]
    i = stop - 1
    while len(parts) < LONGEST_DOTTED and i > 1 and words[i - 1] == "." and not gaps[i - 1] and not gaps[i - 2]:
        if len(words[i - 2]) > 1:
            break
        i -= 2
        parts.append(words[i].lower())
    whole = ".".join(reversed(parts))
    if whole in DOTTED:
        return Kind.NEVER
    if whole in ("a.m", "p.m"):
        return Kind.CLOCK
    if len(parts) > 1:
        return Kind.RARELY
    if stop > 1 and words[stop - 2].lower() in LETTER_NOUNS:
        return Kind.NONE
    return Kind.LETTER


def _unit(words: Sequence[str], gaps: Sequence[str], stop: int) -> Kind:
    """Judge the full stop of a word that may be a unit."""
    i = stop - 2
    if i >= 0 and words[i] in ("-", ".") and i > 0:  # "a 10-in. pan", "sq. ft."
        i -= 1
    number = i >= 0 and (words[i][0].isnumeric() or words[i].lower() in NUMBER_WORDS)
    if not number and i >= 0 and words[i].lower() in ("sq", "cu", "fl"):
        number = True
    if not number:
        low = words[stop - 1].lower()
        wide = low == "in" and stop + 1 < len(words) and words[stop + 1] in DIMENSIONS
        return Kind.RARELY if wide else Kind.NONE
    return Kind.SIZE if i > 0 and words[i - 1] in ("a", "an", "A", "An", "the", "The") else Kind.UNIT
