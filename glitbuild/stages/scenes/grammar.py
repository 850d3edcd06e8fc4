"""Sentences about whole scenes and about things: the grammar of captions."""

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


NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

OPENINGS = (
    "This picture shows {place} {when}, with {count} separate things set out across the view.",
    "In this brightly drawn scene, {count} different objects can be seen {at_place} {when}.",
    "The image presents {place} {when}, where a group of {count} objects has been arranged.",
    "A drawn view of {place} {when} fills the frame, and {count} objects are spread over it.",
    "What we see here is {place} {when}, in which {count} objects catch the eye.",
    "Here is an illustration of {place} {when}, and altogether it holds {count} objects.",
)
TIMES = {
    "morning": ("in the morning", "early in the day", "on a morning", "at the start of the day"),
    "noon": ("at noon", "around midday", "in the middle of the day", "at the height of the day"),
    "evening": ("in the evening", "toward sunset", "at the end of the day", "in the glow of evening"),
    "night": ("at night", "during the night", "after dark", "in the dark of night"),
}
GROUND = (
    "The {ground} on which everything stands is {floor}.",
    "Underneath it all lies {ground} that is {floor}.",
    "As to the {ground}, it is {floor}, and it reaches all the way to the lower edge.",
    "The lower part of the image is filled with {ground} that is {floor}.",
    "Across the foreground the {ground} is {floor} from one side to the other.",
    "From the front to the back, the {ground} is {floor}.",
)
BACKDROPS = {
    "beach": "a strip of blue sea",
    "street": "a row of buildings with many windows",
    "meadow": "soft green hills",
    "desert": "sandy dunes",
    "snowfield": "pale, snowy hills",
    "kitchen": "a wall of pale tiles with a window",
    "living room": "striped wallpaper and a window",
    "workshop": "a brick wall with a window",
}
BACKDROP = (
    "In the background there is {backdrop}.",
    "Behind all of the objects one sees {backdrop}.",
    "The background consists of {backdrop}, kept simple in its shapes.",
    "Farther back, {backdrop} can be made out.",
    "The scene ends, at the back, in {backdrop}.",
    "At the rear, {backdrop} forms the backdrop to it all.",
)
WEATHERS = {
    "clear": "clear, without a single cloud",
    "cloudy": "partly covered by soft clouds",
    "rainy": "grey, with rain coming down",
    "foggy": "dull, and fog makes everything behind look pale",
}
WEATHER = (
    "{Sky} is {weather}.",
    "As far as the weather goes, {sky} is {weather}.",
    "Looking up, one finds that {sky} is {weather}.",
    "The weather is easy to tell, for {sky} is {weather}.",
    "Regarding the weather, {sky} is {weather}.",
    "To judge by what is visible, {sky} is {weather}.",
)
LIGHTS = {
    "left": "comes from the left, leaving the right side darker",
    "right": "comes from the right, leaving the left side darker",
    "even": "is even, with neither side darker than the other",
}
LIGHT = (
    "The light {light}.",
    "The lighting is simple: the light {light}.",
    "One can tell that the light {light}.",
    "With regard to the brightness of the scene, the light {light}.",
    "The light in this picture {light}.",
    "Judging by its shading, the light {light}.",
)
NOTHING = (
    "Scenes of this sort, e.g. those in picture books, are often pleasant to look at for a while.",
    'Some would call the whole thing "a fine composition" and leave it at that.',
    "It is the kind of view that Mr. Brown or Dr. Lee might hang up at home.",
    "Nothing here seems to be in a hurry, and the mood is calm and friendly.",
    "A postcard from St. Mary's would hardly look any different in spirit.",
    "Pictures like this one, i.e. drawn ones, leave much to the imagination.",
    'A visitor might say: "What a curious collection!"',
    "On the whole the arrangement feels playful, vs. the strictness of a technical plan.",
)
ABSENT = (
    "There is also {np} to be seen {place}.",
    "{Place}, there is {np} as well.",
    "{Np} can also be made out {place}.",
    "The picture further shows {np} {place}.",
    "One also notices {np} {place}.",
    "{Place} one finds {np} besides.",
)
"""False sentences: what they say isn't in the picture."""
