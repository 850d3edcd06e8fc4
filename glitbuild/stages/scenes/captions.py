"""Composes captions, noting what each sentence is about; each says one or two things that are true."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from glitbuild.records import Span
from glitbuild.stages.scenes import grammar
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.options import HELD_OUT_KINDS, phrasings, pick, stream
from glitbuild.stages.scenes.scene import PLACES, Look, Relation, Scene, cell, relations
from glitbuild.stages.scenes.shapes import COLOURS

Numbers = list[float]
"""Random numbers of one part of a caption: each choice has its own, so that one doesn't shift another."""


def noun_phrase(split: str, look: Look, u: Numbers) -> str:
    """Return a thing with its article and all its attributes."""
    text = pick(phrasings(split, grammar.NOUN_PHRASES), u[0]).format(
        size=pick(phrasings(split, grammar.SIZE_WORDS[look.size]), u[1]),
        bulk=look.size,
        pattern=pick(phrasings(split, grammar.PATTERN_WORDS[look.pattern]), u[2]),
        colour=look.colour,
        kind=look.kind,
    )
    return ("an " if text[0] in "aeiou" else "a ") + text


def place_phrase(split: str, where: tuple[int, int], number: float) -> str:
    """Return how to say in which third of the picture, across and down, something is."""
    column, row = where
    if where == (1, 1):
        forms = grammar.CENTRES
    elif column == 1:
        forms = grammar.EDGES
    else:
        forms = grammar.SIDES if row == 1 else grammar.CORNERS
    name, edge = grammar.ROWS[row]
    return pick(phrasings(split, forms), number).format(row=name, edge=edge, column=grammar.COLUMNS[column])


def fill_first(form: str, np: str, place: str, rel: str) -> str:
    """Return a sentence that brings a thing in, from its noun phrase, its place and what it is next to."""
    text = form.format(np=np, Np=capital(np), place=place, Place=capital(place), rel=rel)
    # Commas of a noun phrase and of what follows it meet, or stand before the stop.
    return text.replace(",,", ",").replace(",.", ".")


def capital(text: str) -> str:
    """Return a text as the beginning of a sentence."""
    return text[0].upper() + text[1:]


FEW = 4
"""Up to so many things there is room to say more of each at once."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and what it is about.

    Attributes:
        text: as written, with its stop.
        about: ``object``, ``whole`` or ``nothing``.
        objects: the thing it is about, as an index; empty unless ``about`` is ``object``.
        mentions: other things it names.
        fact: what it says: ``first``, ``left``, ``wider``, ``opening``, ...
        true: false for a sentence that was put in as noise.
    """

    text: str
    about: str
    objects: tuple[int, ...] = ()
    mentions: tuple[int, ...] = ()
    fact: str = ""
    true: bool = True


class Writer:
    """Writes the sentences of one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chance = 0.55 if len(scene.things) <= FEW else 0.1
        self._facts = [
            # In a contrast group, only its own sentences say anything of the thing that differs.
            [fact for fact in relations(scene.things, i, scene.width, scene.height) if fact.other != scene.focus]
            for i in range(len(scene.things))
        ]

    def first(self, i: int, u: Numbers) -> Sentence:
        """Say what a thing is, where it is, and perhaps what it is next to."""
        scene, thing = self._scene, self._scene.things[i]
        relation = self._relation(i, u[0]) if u[1] < self._chance else None
        other = () if relation is None else (relation.other,)
        phrase = f", {self._say(relation, u[2])}" if relation else ""
        where = cell(thing.box, scene.width, scene.height)
        form = self._pick(grammar.FIRST, u[3])
        text = fill_first(form, noun_phrase(scene.split, thing.look, u[4:8]), self._where(where, u[8]), phrase)
        return Sentence(text, "object", (i,), other, "first" if relation is None else relation.name)

    def second(self, i: int, u: Numbers) -> Sentence:
        """Say something else of a thing that is true."""
        thing = self._scene.things[i]
        look, ref = thing.look, f"the {thing.ref}"
        facts = ["relation", "relation"] if self._relation(i, u[10]) else []
        facts += ["facing"] * (2 * bool(look.facing)) + ["tilted"] * (6 * bool(look.tilt)) + ["share"]
        wider = [fact for fact in self._facts[i] if fact.name == "wider"]
        facts += ["wider"] if wider else []
        facts += ["bare"] if look.pattern != "plain" else []
        fact = "reads" if look.text else pick(facts, u[11])
        if self._scene.differs == "place" and i == self._scene.focus and fact != "reads":
            fact = "relation" if "relation" in facts else "share"
        fill = {"ref": ref, "Ref": capital(ref), "colour": look.colour, "kind_ref": f"the {look.kind}"}
        mentions: tuple[int, ...] = ()
        name = fact
        if fact == "relation":
            relation = self._relation(i, u[10])
            assert relation
            fill["rel"] = self._say(relation, u[12])
            mentions, name = (relation.other,), relation.name
        elif fact == "wider":
            relation = pick(wider, u[10])
            fill |= {"ratio": str(relation.value), "other": self._ref(relation.other)}
            mentions = (relation.other,)
        fill |= {
            "side": look.facing,
            "degrees": str(abs(look.tilt)),
            "share": f"{(thing.box[2] - thing.box[0]) / self._scene.width:.2f}",
            "text": look.text,
            "pattern": self._pick(grammar.PATTERN_WORDS[look.pattern], u[13]),
        }
        forms = {
            "relation": grammar.RELATION_SENTENCES,
            "facing": grammar.FACING,
            "tilted": grammar.TILTED,
            "wider": grammar.WIDER,
            "share": grammar.SHARE,
            "reads": grammar.READS,
            "bare": grammar.BARE,
        }[fact]
        return Sentence(self._pick(forms, u[14]).format(**fill), "object", (i,), mentions, name)

    def opening(self, u: Numbers) -> Sentence:
        """Say what the whole is."""
        place = PLACES[self._scene.setting.place]
        preposition = "on" if place.phrase in ("a beach", "a street") else "in"
        text = self._pick(grammar.OPENINGS, u[10]).format(
            place=place.phrase,
            at_place=f"{preposition} {place.phrase}",
            when=self._pick(grammar.TIMES[self._scene.setting.time], u[11]),
            count=grammar.NUMBERS[len(self._scene.things)],
        )
        return Sentence(text, "whole", fact="opening")

    def ground(self, u: Numbers) -> Sentence:
        """Say what things stand on."""
        place = PLACES[self._scene.setting.place]
        floor = place.floors[self._scene.setting.floor]
        ground = self._pick(grammar.GROUND, u[0])
        noun = place.ground
        if "{ground} that" in ground and noun in ("floor", "ground"):
            noun = f"a {noun}"
        return Sentence(ground.format(ground=noun, floor=floor), "whole", fact="ground")

    def backdrop(self, u: Numbers) -> Sentence:
        """Say what is behind everything."""
        form = self._pick(grammar.BACKDROP, u[0])
        return Sentence(
            form.format(backdrop=grammar.BACKDROPS[self._scene.setting.place]), "whole", fact="backdrop"
        )

    def weather(self, u: Numbers) -> Sentence:
        """Say what the sky is like."""
        setting = self._scene.setting
        sky = "the sky outside the window" if PLACES[setting.place].indoor else "the sky"
        weather = grammar.WEATHERS[setting.weather]
        text = self._pick(grammar.WEATHER, u[0]).format(sky=sky, Sky=capital(sky), weather=weather)
        return Sentence(text, "whole", fact="weather")

    def light(self, u: Numbers) -> Sentence:
        """Say where the light comes from."""
        text = self._pick(grammar.LIGHT, u[0]).format(light=grammar.LIGHTS[self._scene.setting.light])
        return Sentence(text, "whole", fact="light")

    def _relation(self, i: int, number: float) -> Relation | None:
        options = [fact for fact in self._facts[i] if fact.name != "wider"]
        return pick(options, number) if options else None

    def _say(self, relation: Relation, number: float) -> str:
        return self._pick(grammar.RELATIONS[relation.name], number).format(other=self._ref(relation.other))

    def _ref(self, i: int) -> str:
        return f"the {self._scene.things[i].ref}"

    def _where(self, where: tuple[int, int], number: float) -> str:
        return place_phrase(self._scene.split, where, number)

    def _pick(self, forms: Sequence[str], number: float) -> str:
        return pick(phrasings(self._scene.split, forms), number)


def absent(scene: Scene) -> Sentence:
    """Return a sentence about a thing that isn't there."""
    u = stream(scene.seed, scene.split, scene.index, "noise", 1).random(12).tolist()
    there = {thing.look.kind for thing in scene.things}
    kinds = [kind for kind in KINDS if kind not in there and kind not in HELD_OUT_KINDS]
    look = replace(scene.things[0].look, kind=pick(kinds, u[0]), colour=pick(list(COLOURS), u[1]))
    place = place_phrase(scene.split, (int(u[2] * 3), int(u[3] * 3)), u[4])
    form = pick(phrasings(scene.split, grammar.ABSENT), u[5])
    text = fill_first(form, noun_phrase(scene.split, look, u[6:10]), place, "")
    return Sentence(text, "nothing", fact="absent", true=False)


LEAST_SENTENCES, MOST_SENTENCES = 8, 14

USUAL_WORDS = (134, 154)
"""Second sentences are written until a caption has some number of words between these."""


@dataclass(slots=True)
class Caption:
    """A caption that grows sentence by sentence, with their spans."""

    text: str = ""
    spans: list[Span] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)

    def add(self, sentence: Sentence) -> None:
        """Append a sentence, after one space."""
        start = len(self.text) + 1 if self.text else 0
        self.text += (" " if self.text else "") + sentence.text
        self.spans.append((start, len(self.text)))
        self.sentences.append(sentence)


def compose(scene: Scene) -> Caption:
    """Return the caption of a scene: the opening, and the rest in random order."""
    rng = stream(scene.seed, scene.split, scene.base, "caption")
    count = len(scene.things)
    numbers: list[Numbers] = rng.random((count + 6, 24)).tolist()
    writer = Writer(scene)
    units = [[writer.first(i, numbers[i])] for i in range(count)]
    u = numbers[count]
    others = [writer.ground, writer.backdrop, writer.weather, writer.light]
    if count >= 7:  # enough to say: the background gets one sentence, as the light does
        others = [others[int(u[0] * 3)], writer.light] if count < 9 or u[5] < 0.5 else [others[int(u[0] * 4)]]
    units += [[write(numbers[count + 1 + k])] for k, write in enumerate(others)]
    if u[1] < 0.4:
        units.append([Sentence(pick(phrasings(scene.split, grammar.NOTHING), u[2]), "nothing", fact="nothing")])
    if scene.false:
        units.append([absent(scene)])
    opening = writer.opening(u)
    said = [opening, *(sentence for unit in units for sentence in unit)]
    enough = USUAL_WORDS[0] + u[3] * (USUAL_WORDS[1] - USUAL_WORDS[0])
    for i in sorted(range(count), key=lambda i: numbers[i][23]):
        # A thing that tells its scene from others always gets both, and so does the word on a signpost.
        needed = i == scene.focus or bool(scene.things[i].look.text) or len(said) < LEAST_SENTENCES
        if len(said) < MOST_SENTENCES and (needed or sum(map(words, said)) < enough):
            units[i].append(writer.second(i, numbers[i]))
            said.append(units[i][-1])
    places = [float(number) for number in numbers[count + 5]]
    if scene.focus >= 0 and u[4] < scene.late:
        places[scene.focus] = 0.75 + places[scene.focus] / 4
    caption = Caption()
    caption.add(opening)
    for k in sorted(range(len(units)), key=lambda k: places[k]):
        for sentence in units[k]:
            caption.add(sentence)
    return caption


def words(sentence: Sentence) -> int:
    """Count the words of a sentence."""
    return len(sentence.text.split())
