"""Published retrieval protocols by name: which samples, which text, which K, and whose definition it is.

A protocol is frozen: its name stands for the same numbers in every version. A dataset that doesn't hold exactly its
samples is refused, because a gallery with fewer images is easier.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from glitbuild.errors import ConfigError
from glitbuild.records import Sample
from glitbuild.shards.manifest import Manifest

LONG_KS = (1, 5, 25, 50)
"""GOAL's K for long captions."""

SHORT_KS = (1, 5, 10)


def as_written(caption: str) -> str:
    """Return the caption as it is."""
    return caption


def on_one_line(caption: str) -> str:
    """Return the caption with spaces instead of line ends, as Long-CLIP reads ShareGPT4V."""
    return caption.replace("\n", " ")


def rejoined(caption: str) -> str:
    """Return the caption as LoTLIP reads it: cut at full stops, line ends and ``</s>``, and joined by ``. ``.

    The last full stop is lost.
    """
    parts = (part.strip() for part in re.split(r"\n|</s>|[.]", caption))
    return ". ".join(part for part in parts if part)


TEXTS: dict[str, Callable[[str], str]] = {
    "as written": as_written,
    "on one line": on_one_line,
    "rejoined": rejoined,
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """A retrieval protocol.

    Attributes:
        name: its name.
        corpus: corpus, as ``ingest --format`` calls it.
        samples: number of captions, which a dataset must have exactly; each with its image in the gallery.
        ks: list sizes K.
        paper: paper that defines or first uses it.
        what: description of the samples.
        splits: splits whose samples belong to it; empty for all.
        caption_column: what ``ingest --caption-column`` must have been; None for the format's default.
        per_image: number of captions per image, the first ones of the list; None for all.
        first: number of rows from the start of the list; None for all.
        text: what is done to a caption, one of ``TEXTS``.
        context_length: number of tokens to read; a CLIP that reads fewer is stretched, other models read their own.
            None for the model's own.
        note: what is uncertain or peculiar about it.
    """

    name: str
    corpus: str
    samples: int
    ks: tuple[int, ...]
    paper: str
    what: str
    splits: tuple[str, ...] = ()
    caption_column: str | None = None
    per_image: int | None = None
    first: int | None = None
    text: str = "as written"
    context_length: int | None = 248
    note: str = ""

    def takes(self, sample: Sample) -> bool:
        """Return whether a sample belongs to the protocol."""
        source = sample.source
        if source.dataset != self.corpus or (self.splits and source.split not in self.splits):
            return False
        if self.per_image is not None:
            number = source.id.rpartition("#")[2]
            if not number.isdigit() or int(number) >= self.per_image:
                return False
        return self.first is None or int(sample.key) < self.first

    def read(self, caption: str) -> str:
        """Return the text that stands for a caption."""
        return TEXTS[self.text](caption)

    def check(self, where: str, manifest: Manifest) -> None:
        """Check what can be known of a dataset before its samples are read.

        Raises:
            ConfigError: it is of another corpus, has other captions, or too few of them.
        """
        what, fix = f"--protocol {self.name}", f"ingest it with {self.ingest}"
        if manifest.config["stage"] != "ingest":
            raise ConfigError(what, f"{where} is not an ingested dataset", f"give one that is: {self.ingest}")
        for source in manifest.config["sources"]:  # as the corpus describes itself
            column = re.search(r', caption "(.*)"$', source)
            if (column[1] if column else None) != self.caption_column:
                was = f"--caption-column {column[1]}" if column else "its default caption"
                raise ConfigError(what, f"{where} was ingested with {was}", fix)
        named = (manifest.sources or {}).get("dataset", {})
        if self.corpus not in named:
            raise ConfigError(
                what, f"{where} has no samples of {self.corpus} ({', '.join(named) or 'unknown'})", fix
            )
        if manifest.totals["samples"] < self.samples:
            raise self.incomplete(where, manifest.totals["samples"])

    def incomplete(self, where: str, found: int) -> ConfigError:
        """Return the error for a dataset with another number of the protocol's samples."""
        why = f"{where} has {found:,} of its {self.samples:,} samples"
        fix = "rows that were skipped are listed by `glitbuild stats`; ingest all with " + self.ingest
        return ConfigError(f"--protocol {self.name}", why, fix)

    @property
    def ingest(self) -> str:
        """Command that reads the corpus for it."""
        words = ["glitbuild ingest", "SOURCE", f"--format {self.corpus}"]
        words += [f"--split {','.join(self.splits)}"] if self.splits else []
        words += [f"--caption-column {self.caption_column}"] if self.caption_column else []
        return " ".join([*words, "--duplicates keep --out DIR"])

    def recorded(self) -> dict[str, Any]:
        """Return what a report says about it."""
        return {"name": self.name, "paper": self.paper, "samples": self.samples, "text": self.text}


GOAL = "GOAL, arXiv 2503.17782"
LONG_CLIP = "Long-CLIP, arXiv 2403.15378"
LOTLIP = "LoTLIP, arXiv 2410.05249"
KARPATHY = "Karpathy and Fei-Fei, arXiv 1412.2306"

ALL = (
    Protocol(
        "docci/goal-5100",
        "docci",
        5100,
        LONG_KS,
        GOAL,
        "test and qual_test of DOCCI, whole descriptions",
        splits=("test", "qual_test"),
    ),
    Protocol(
        "docci/5000",
        "docci",
        5000,
        SHORT_KS,
        "DOCCI, arXiv 2404.19753",
        "test of DOCCI, whole descriptions",
        splits=("test",),
    ),
    Protocol(
        "dci/goal-7602",
        "dci",
        7602,
        LONG_KS,
        GOAL,
        "all images of DCI that have an extra caption, and only that caption",
        caption_column="extra_caption",
        note="GOAL's paper calls it DCI; the number follows from its printed percentages.",
    ),
    Protocol(
        "dci/fgclip",
        "dci",
        7805,
        SHORT_KS,
        "FG-CLIP, arXiv 2505.05071",
        "all images of DCI, short and extra caption on two lines",
        note="FG-CLIP's script for DCI is not published; its command line reads all of DCI's annotations, and the "
        "text is what LoTLIP's script makes of them before it cuts them.",
    ),
    Protocol(
        "longdci/tulip",
        "dci",
        7602,
        SHORT_KS,
        "TULIP, arXiv 2410.10034",
        "all images of DCI that have an extra caption, and only that caption",
        caption_column="extra_caption",
        note="The paper says 7,000 images; its script keeps all with an extra caption, which are 7,602.",
    ),
    Protocol("urban1k/longclip", "urban1k", 1000, SHORT_KS, LONG_CLIP, "all of Urban1k"),
    Protocol(
        "sv1k",
        "sharegpt4v",
        1000,
        SHORT_KS,
        LONG_CLIP,
        "first 1,000 entries of ShareGPT4V's share-captioner_coco_lcs_sam_1246k_1107.json",
        first=1000,
        text="on one line",
    ),
    Protocol(
        "sv10k",
        "sharegpt4v",
        10_000,
        SHORT_KS,
        LOTLIP,
        "first 10,000 entries of ShareGPT4V's share-captioner_coco_lcs_sam_1246k_1107.json",
        first=10_000,
        text="rejoined",
    ),
    Protocol(
        "iiw/lotlip",
        "iiw",
        612,
        SHORT_KS,
        LOTLIP,
        "ImageInWords' human captions: IIW-400, DOCCI_Test and DCI_Test together",
        caption_column="IIW",
        text="rejoined",
    ),
    Protocol(
        "coco/karpathy",
        "coco",
        25_000,
        SHORT_KS,
        KARPATHY,
        "Karpathy's test split of COCO: 5,000 images, the first five captions of each",
        splits=("test",),
        per_image=5,
        context_length=None,
    ),
    Protocol(
        "coco/2017val",
        "coco2017",
        25_000,
        SHORT_KS,
        LONG_CLIP,
        "val2017 of COCO: 5,000 images, the first five captions of each",
        splits=("val2017",),
        per_image=5,
        context_length=None,
    ),
    Protocol(
        "flickr30k/1k",
        "flickr30k",
        5000,
        SHORT_KS,
        KARPATHY,
        "Karpathy's test split of Flickr30k: 1,000 images with five captions each",
        splits=("test",),
        per_image=5,
        context_length=None,
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in ALL}
