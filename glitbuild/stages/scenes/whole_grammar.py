"""The phrasings for what isn't about one object: the whole, the background, nothing in particular.

As in ``grammar``, the last of each list is kept for ``test`` and the one before it for ``val``.
"""

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
