"""What a command calls the options that name its model, for errors that blame the right one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glitbuild.errors import ModelError
from glitbuild.options import argument, flag

THE_MODEL = "the CLIP model"
"""What errors call a model where it is not known which option named it."""


@dataclass(frozen=True, slots=True)
class Names:
    """The two options.

    Attributes:
        model: that of the architecture, the folder or ``demo``.
        pretrained: that of the tag or the checkpoint.
        written: how any other option is written, with its value.
    """

    model: str
    pretrained: str
    written: Callable[..., str] = flag


MATCH = Names("--clip-model", "--clip-pretrained")
TRAIN = Names("--model", "--pretrained")
EVAL = Names("MODEL", "--pretrained")
LOAD_CLIP = Names("model", "pretrained", argument)


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Put an option, with its value, into errors that say ``the CLIP model``."""
    try:
        yield
    except ModelError as error:
        if not error.what.startswith(THE_MODEL):
            raise
        raise ModelError(error.what.replace(THE_MODEL, option, 1), error.why, error.fix) from error
