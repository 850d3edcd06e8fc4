"""Composes captions, and notes while doing so what each sentence is about."""

from dataclasses import dataclass, field

from glitbuild.records import Span
from glitbuild.stages.scenes import grammar
from glitbuild.stages.scenes.options import phrasings, pick, stream
from glitbuild.stages.scenes.phrases import Numbers
from glitbuild.stages.scenes.scene import Scene
from glitbuild.stages.scenes.sentences import Sentence, Writer, absent

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
