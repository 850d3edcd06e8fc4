"""Known corpora by name: how the files that their authors publish become rows (see docs/corpora.md)."""

from glitbuild.stages.ingest.formats.corpora.coco import Coco
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource
from glitbuild.stages.ingest.formats.corpora.dci import Dci
from glitbuild.stages.ingest.formats.corpora.docci import Docci
from glitbuild.stages.ingest.formats.corpora.flickr30k import Flickr30k
from glitbuild.stages.ingest.formats.corpora.goal import Goal
from glitbuild.stages.ingest.formats.corpora.iiw import ImageInWords
from glitbuild.stages.ingest.formats.corpora.sa1b import Sa1b
from glitbuild.stages.ingest.formats.corpora.sharegpt4v import ShareGpt4V
from glitbuild.stages.ingest.formats.corpora.urban1k import Urban1k

CORPORA: dict[str, type[CorpusSource]] = {
    corpus.name: corpus for corpus in (Docci, Dci, Sa1b, ShareGpt4V, Urban1k, ImageInWords, Coco, Flickr30k, Goal)
}
"""By the name that ``--format`` takes."""
