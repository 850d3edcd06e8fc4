"""The phrasings for what is said of objects: for each fact several ways to say it.

Of each list the last phrasing is kept for ``test`` and the one before it for ``val`` (``splits.phrasings``).
Names in braces are filled in by ``captions``; those with a capital begin a sentence.
"""

SIZE_WORDS = {
    "small": ("small", "little", "tiny", "rather small"),
    "medium": ("medium-sized", "mid-sized", "average-sized", "middling"),
    "large": ("large", "big", "very large", "rather big"),
}

PATTERN_WORDS = {
    "plain": ("plain", "unpatterned", "evenly coloured", "single-toned"),
    "striped": ("striped", "stripy", "vertically striped", "banded"),
    "dotted": ("dotted", "spotted", "polka-dot", "dot-covered"),
    "checked": ("checked", "chequered", "checkerboard", "checkered"),
    "zigzag": ("zigzag-patterned", "zigzagged", "zigzag-lined", "chevron-patterned"),
    "metallic": ("metallic", "shiny metallic", "metal-like", "gleaming metallic"),
}

NOUN_PHRASES = (
    "{size} {pattern} {colour} {kind}",
    "{size}, {pattern} {kind} in {colour}",
    "{pattern} {colour} {kind} of {bulk} size",
    "{colour} {kind}, {size} and {pattern},",
    "{kind} that is {size}, {pattern} and {colour}",
)
"""What a thing is, behind its article. Order: kind and attributes, all of them, whatever the phrasing."""

BULK = {"small": "small", "medium": "medium", "large": "large"}

ROWS = (("upper", "top"), ("middle", "central"), ("lower", "bottom"))
COLUMNS = ("left", "middle", "right")

CORNERS = (
    "in the {row} {column}",
    "at the {edge} {column}",
    "in the {row} {column} part",
    "near the {edge} {column} corner",
    "in the {edge} {column} area",
    "over in the {row} {column} region",
)
EDGES = (
    "in the {row} middle",
    "at the {edge}, in the middle",
    "at the {edge} centre",
    "in the middle of the {row} part",
    "around the {edge} middle",
    "centrally in the {row} band",
)
SIDES = (
    "on the {column}, at middle height",
    "at the {column}, about halfway up",
    "in the middle of the {column} side",
    "midway down the {column} side",
    "on the {column}, at half height",
    "in the {column} strip, vertically centred",
)
CENTRES = (
    "in the centre",
    "right in the middle",
    "in the central part of the frame",
    "close to the very middle",
    "at the heart of the image",
    "around the midpoint of the view",
)

FIRST = (
    "{Place}, there is {np}{rel}.",
    "{Np} can be seen {place}{rel}.",
    "{Place} one finds {np}{rel}.",
    "The picture shows {np} {place}{rel}.",
    "There is {np} {place}{rel}.",
    "{Place}, the eye meets {np}{rel}.",
    "One notices {np} {place}{rel}.",
    "{Np} has its place {place}{rel}.",
)
"""The sentence that brings a thing in."""

RELATIONS = {
    "left": (
        "to the left of {other}",
        "left of {other}",
        "further left than {other}",
        "on the left-hand side of {other}",
        "with {other} to its right",
        "leftward of {other}",
    ),
    "right": (
        "to the right of {other}",
        "right of {other}",
        "further right than {other}",
        "on the right-hand side of {other}",
        "with {other} to its left",
        "rightward of {other}",
    ),
    "above": (
        "higher up in the picture than {other}",
        "above {other}",
        "further up than {other}",
        "with {other} below it in the picture",
        "higher in the frame than {other}",
        "upward of {other}",
    ),
    "below": (
        "lower down in the picture than {other}",
        "below {other}",
        "further down than {other}",
        "with {other} above it in the picture",
        "lower in the frame than {other}",
        "downward of {other}",
    ),
    "next": (
        "right next to {other}",
        "beside {other}",
        "close beside {other}",
        "side by side with {other}",
        "adjacent to {other}",
        "alongside {other}",
    ),
    "front": (
        "in front of {other}",
        "partly covering {other}",
        "standing before {other}",
        "hiding a part of {other}",
        "overlapping {other} from the front",
        "nearer than {other}, which it partly hides",
    ),
    "behind": (
        "behind {other}",
        "partly hidden by {other}",
        "partly covered by {other}",
        "standing in back of {other}",
        "with {other} in front of a part of it",
        "farther away than {other}, which hides a part of it",
    ),
}

RELATION_SENTENCES = (
    "{Ref} is {rel}, as a closer look confirms.",
    "Looking more closely, {ref} turns out to be {rel}.",
    "In this arrangement {ref} appears {rel}.",
    "It is easy to see that {ref} is {rel}.",
    "As for its neighbours, {ref} is {rel}.",
    "Compared with what is around, {ref} is {rel}.",
)
FACING = (
    "{Ref} faces the {side} edge of the picture.",
    "The front of {ref} points to the {side}.",
    "{Ref} is shown from the side and is turned toward the {side}.",
    "Seen in profile, {ref} looks to the {side}.",
    "The side to which {ref} is turned is the {side} one.",
    "{Ref} is oriented so that its front is on the {side}.",
)
TILTED = (
    "{Ref} does not stand straight but is tilted by approx. {degrees} degrees.",
    "{Ref} is clearly tilted, by about {degrees} degrees.",
    "At an angle of some {degrees} degrees, {ref} is noticeably askew.",
    "{Ref} leans over by about {degrees} degrees from its usual pose.",
    "Rather than being upright, {ref} is rotated by approx. {degrees} degrees.",
    "There is a tilt of around {degrees} degrees to {ref}.",
)
WIDER = (
    "{Ref} is about {ratio} times as wide as {other}.",
    "Measured across, {ref} is approx. {ratio} times as wide as {other}.",
    "Its width is no accident: {ref} spans roughly {ratio} times the width of {other}.",
    "Side to side, {ref} measures approx. {ratio} times what {other} does.",
    "{Ref} exceeds {other} in width by a factor of about {ratio} in this view.",
    "The width of {ref} comes to around {ratio} times that of {other}.",
)
SHARE = (
    "{Ref} takes up about {share} of the picture's width.",
    "From side to side, {ref} spans approx. {share} of the whole width.",
    "In width, {ref} covers some {share} of the image.",
    "The extent of {ref} across the picture is approx. {share} of its width.",
    "Across the frame, {ref} occupies about {share} of the available width.",
    "Of the full width, {ref} accounts for around {share} here.",
)
READS = (
    '{Ref} reads "{text}."',
    'On its board {ref} says "{text}" in capital letters.',
    'The word on {ref} is "{text}."',
    '"{text}" is what {ref} announces in plain strokes.',
    'In capitals, {ref} carries the word "{text}" on its board.',
    'Whoever passes {ref} can read "{text}" on it.',
)
BARE = (
    "{Ref} shows nothing but {pattern} surfaces where its colour is.",
    "The {colour} parts of {kind_ref} are {pattern}.",
    "Where {ref} has its main colour, it is {pattern}.",
    "Up close, {ref} proves to be {pattern} in its main parts.",
    "The main parts of {ref} are {pattern}, as one can tell.",
    "Its {colour} areas make {ref} look {pattern}.",
)
