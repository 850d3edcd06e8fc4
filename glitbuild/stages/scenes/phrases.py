"""The parts that sentences are put together from: what a thing is, and where in the picture."""

from glitbuild.stages.scenes import grammar
from glitbuild.stages.scenes.options import phrasings, pick
from glitbuild.stages.scenes.scene import Look

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
