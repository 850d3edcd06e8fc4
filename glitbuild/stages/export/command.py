"""The ``export`` command: write a model in another library's layout, as a whole, and read it back."""

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
"""Names of all files that an export may contain; a folder with any other file is not replaced."""


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """Check that a folder may be written.

    Args:
        target: resolved path of the folder.
        source: resolved path of the folder with the exported model; None if it is not in a folder.
        overwrite: whether an earlier export may be replaced.

    Raises:
        ConfigError: the folder holds something else.
    """
    if source and target in (source, *source.parents):
        raise ConfigError(f"--to {target}", "this folder contains the source", "give another folder")
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"--to {target}", "not a folder", "give another path")
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        fix = "give another folder, or --overwrite if it is an earlier export"
        raise ConfigError(f"--to {target}", "not empty", fix)
    if others := sorted(names - WRITTEN):
        raise ConfigError(
            f"--to {target}", f"it contains {others[0]}, which no export writes", "give another folder"
        )


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target to write into; it is renamed to the target if all goes well.

    If the writing ends earlier for any reason, an interrupt included, everything stays as it was. Leftovers of an
    earlier process that was killed are removed.

    Args:
        target: folder that is absent, empty, or to be replaced.

    Raises:
        ConfigError: the folder can't be written to.
        ExportError: the disk failed or is full.
    """
    made = [folder for folder in target.parents if not folder.exists()]  # deepest first
    partial = target.with_name(f".{target.name}.part")
    try:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(
                f"--to {target}", f"can't be written to ({error.strerror})", "check the path and its permissions"
            ) from error
        try:
            yield partial
            _replace(partial, target)
        except OSError as error:
            raise ExportError(
                str(target), f"writing failed ({error})", "make sure that the disk has room"
            ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _replace(partial: Path, target: Path) -> None:
    if not (target.exists() and any(target.iterdir())):
        partial.rename(target)  # this also replaces an empty folder
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

    The export is read back and compared with the model before it appears. RUN is the folder of a run,
    or demo.
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
                f"--to {self.to}", "its name is not valid UTF-8, which tokenizers requires", "choose another --to"
            )


FORMATS: dict[str, ModuleType] = {"hf": transformers, "open_clip": open_clip}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exported:
    """Result of an export.

    Attributes:
        folder: target folder.
        context_length: number of tokens that the model reads.
        cosine: smallest cosine between the embeddings of the source and of the export for the same input.
        bytes: total size of the files.
    """

    folder: Path
    context_length: int
    cosine: float
    bytes: int


def run_export(options: ExportOptions, plain: bool = False) -> Exported:
    """Write the model of a run as a folder for another library.

    Args:
        options: options of the command.
        plain: unused, as there is no progress to report; all commands have this parameter.

    Raises:
        ModelError: there is no model, or the format can't express it.
        ConfigError: the target can't be written to, or is not empty.
        ExportError: the export differs from the model; the target is unchanged.
    """
    spec = parse_run(options.run)
    target = Path(options.to).expanduser().resolve()
    check_target(target, None if spec.model == DEMO else Path(spec.model), options.overwrite)
    format = FORMATS[options.format]
    model = spec.load("cpu")
    model_cfg = spec.model_cfg()
    format.check(model, model_cfg)
    source = open_clip.OpenClipEncoder(model, spec.tokenizer())
    with appearing(target) as folder:
        _log.info("writing %s", target)
        format.write(folder, model, model_cfg)
        _log.info("reading it back and comparing it with the model")
        exported = _read(format, folder, str(target))
        cosine = verify(source, exported, model.visual.image_size[0], str(target))
        size = sum(path.stat().st_size for path in folder.iterdir())
    return Exported(target, model.context_length, cosine, size)


def parse_run(run: str) -> ClipSpec:
    """Return the model of a run's folder, or the embedded one.

    Raises:
        ModelError: there is no such folder, or it contains no model.
    """
    folder = Path(run).expanduser()
    if run == DEMO or saved.is_model(folder):
        return ClipSpec.parse(run)
    fix = f"give the folder of a finished run, or {DEMO}"
    if not folder.exists():
        raise ModelError(run, "there is no such folder", fix)
    raise ModelError(run, f"it contains no model ({saved.CONFIG} and {saved.WEIGHTS})", fix)


def _read(format: ModuleType, folder: Path, name: str) -> Encoder:
    try:
        encoder: Encoder = format.read(folder)
    except GlitbuildError:
        raise
    except Exception as error:  # the library may raise anything for a folder it can't read
        why = f"it can't be read back ({str(error).partition(chr(10))[0] or type(error).__name__})"
        raise ExportError(name, why, "nothing was written; please report it") from error
    return encoder
