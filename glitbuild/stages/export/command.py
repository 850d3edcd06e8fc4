"""The command ``export``: a model in the layout of another library, written whole and read back."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from glitbuild.clip import saved
from glitbuild.clip.load import DEMO, ClipSpec
from glitbuild.errors import ConfigError, ExportError, GlitbuildError, ModelError
from glitbuild.options import Options, about
from glitbuild.records import writable
from glitbuild.stages.export import open_clip, transformers
from glitbuild.stages.export.verify import Encoder, verify

WRITTEN = frozenset(
    {
        "config.json",
        "merges.txt",
        "model.safetensors",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)
"""Every file that an export may consist of: a folder with any other is not replaced."""


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """See that a folder may be written.

    Args:
        target: resolved.
        source: the folder of what is exported, resolved; None where it is not in a folder.
        overwrite: an earlier export may be replaced.

    Raises:
        ConfigError: something else is there.
    """
    if source and target in (source, *source.parents):
        raise ConfigError(f"--to {target}", "this is where the source is", "give another folder")
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"--to {target}", "not a folder", "give another path")
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        fix = "give another folder, or --overwrite where it is an earlier export"
        raise ConfigError(f"--to {target}", "not empty", fix)
    if others := sorted(names - WRITTEN):
        raise ConfigError(f"--to {target}", f"it holds {others[0]}, which no export wrote", "give another folder")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a folder beside the target to write into; it gets the target's name when all went well.

    Whatever ends the writing before that, an interrupt too, leaves everything as it was. What an earlier process
    left beside the target when it was killed is removed.

    Args:
        target: absent, empty, or to be replaced.

    Raises:
        ConfigError: nothing can be written there.
        ExportError: the disk failed or is full.
    """
    made = [folder for folder in target.parents if not folder.exists()]  # the deepest is the first
    partial = target.with_name(f".{target.name}.part")
    try:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"--to {target}", f"can't be written to ({error.strerror})", "check it") from error
        try:
            yield partial
            _replace(partial, target)
        except OSError as error:
            raise ExportError(str(target), f"writing failed ({error})", "see that the disk has room") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _replace(partial: Path, target: Path) -> None:
    if not (target.exists() and any(target.iterdir())):
        partial.rename(target)  # also over an empty folder
        return
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


EXPORT_FORMATS = ("hf", "open_clip")


@dataclass(frozen=True, slots=True)
class ExportOptions(Options):
    """Write the model of a RUN as a folder that other libraries read.

    What was written is read back and compared with the model before it appears. RUN is the folder of
    a run, or demo.
    """

    run: str = field(metadata=about("Folder of a run, or demo.", argument=True))
    to: str = field(metadata=about("Folder to write; it appears only when it is complete."))
    format: str = field(
        metadata=about(
            "hf: a CLIPModel of transformers, with its tokenizer and image processor. open_clip: for local-dir:.",
            choices=EXPORT_FORMATS,
        )
    )
    overwrite: bool = field(default=False, metadata=about("Replace an earlier export in --to."))

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if not self.to or "://" in self.to:
            fix = "give a folder on this machine; `glitbuild push` publishes it"
            raise ConfigError(f"--to {self.to}", "not a local folder", fix)
        if writable(self.to) != self.to:
            raise ConfigError(
                f"--to {self.to}", "its name is not UTF-8, as tokenizers needs", "choose another --to"
            )


FORMATS: dict[str, ModuleType] = {"hf": transformers, "open_clip": open_clip}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: the target.
        context_length: tokens that the model reads.
        cosine: the least between an embedding of the source and the export's of the same input.
        bytes: size of all files.
    """

    folder: Path
    context_length: int
    cosine: float
    bytes: int


def run_export(options: ExportOptions, plain: bool = False) -> Exported:
    """Write a run's model as a folder for another library.

    Args:
        options: of the command.
        plain: for all commands are run alike; there is no progress to show.

    Raises:
        ModelError: there is no model, or none that the format can express.
        ConfigError: the target can't be written to, or is not empty.
        ExportError: what was written is not the model; the target is as it was.
    """
    spec = parse_run(options.run)
    target = Path(options.to).expanduser().resolve()
    check_target(target, None if spec.model == DEMO else Path(spec.model), options.overwrite)
    format = FORMATS[options.format]
    model = spec.load("cpu")
    model_cfg = spec.model_cfg()
    format.check(model, model_cfg)
    source = open_clip.OpenClipEncoder(model, spec.architecture)
    with appearing(target) as folder:
        _log.info("writing %s", target)
        format.write(folder, model, model_cfg)
        _log.info("reading it back and comparing")
        exported = _read(format, folder, str(target))
        cosine = verify(source, exported, model.visual.image_size[0], str(target))
        size = sum(path.stat().st_size for path in folder.iterdir())
    return Exported(target, model.context_length, cosine, size)


def parse_run(run: str) -> ClipSpec:
    """Name the model of a run's folder, or the embedded one.

    Raises:
        ModelError: there is no such folder, or no model in it.
    """
    folder = Path(run).expanduser()
    if run == DEMO or saved.is_saved(folder):
        return ClipSpec.parse(run)
    fix = f"give the folder of a finished run, or {DEMO}"
    if not folder.exists():
        raise ModelError(run, "no such folder", fix)
    raise ModelError(run, f"no model there ({saved.CONFIG} and {saved.WEIGHTS})", fix)


def _read(format: ModuleType, folder: Path, name: str) -> Encoder:
    try:
        encoder: Encoder = format.read(folder)
    except GlitbuildError:
        raise
    except Exception as error:  # whatever the library raises at a folder it can't read
        why = f"it can't be read back ({str(error).partition(chr(10))[0] or type(error).__name__})"
        raise ExportError(name, why, "nothing was written; please report it") from error
    return encoder
