"""Writes the sentences of a scene; each says one or two things that are true of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glitbuild.stages.scenes import grammar
from glitbuild.stages.scenes.colours import COLOURS
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.options import HELD_OUT_KINDS, phrasings, pick, stream
from glitbuild.stages.scenes.phrases import Numbers, capital, fill_first, noun_phrase, place_phrase
from glitbuild.stages.scenes.places import PLACES
from glitbuild.stages.scenes.relations import Relation, cell, relations
from glitbuild.stages.scenes.scene import Scene

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
