"""The ``blend`` command: evaluate blends of a base and a run, choose one, and write it as a run's folder."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import CONFIG, WEIGHTS, save_model
from glitbuild.errors import ConfigError
from glitbuild.files import write_whole
from glitbuild.options import Names
from glitbuild.shards.output import check_writable
from glitbuild.stages.blend.curve import Point, check_plot, choose, pareto, picture
from glitbuild.stages.blend.options import BlendOptions
from glitbuild.stages.blend.weights import blended, load_both
from glitbuild.stages.evaluate.benchmarks import find_benchmark
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.compare import Data, Model
from glitbuild.stages.evaluate.options import FGOVD, RETRIEVAL, SUGARCREPE, WINOGROUND, ZEROSHOT, EvalOptions
from glitbuild.stages.evaluate.report import Report

SCHEMA = "glit-blend/1"
ABOUT, CURVE, PART, MEASURED = "blend.json", "curve.png", ".alpha", ".measured.json"
WRITTEN = frozenset({ABOUT, CURVE, PART, MEASURED, CONFIG, WEIGHTS})
"""Names of all that the command may write to its folder."""

BASE = Names("BASE", "BASE")
RUN = Names("RUN", "RUN")


@dataclass(frozen=True, slots=True)
class Blended:
    """Result of a blend.

    Attributes:
        out: folder with the chosen model.
        alpha: its share of the run.
        points: all evaluated points, with ascending alphas; empty if alpha was given without data.
        done_before: whether an earlier command had finished it.
    """

    out: Path
    alpha: float
    points: tuple[Point, ...]
    done_before: bool = False


def run_blend(options: BlendOptions, plain: bool = False) -> Blended:
    """Evaluate the blends, choose one, and write it; what an interrupted run has measured is not measured again.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: --out holds something else, or data is missing.
        ModelError: a model is unavailable, or the two are not of the same architecture.
        DatasetError: a dataset is damaged.
        EvaluationError: a blend's embeddings are not finite.
    """
    out, alphas = Path(options.out).expanduser(), options.points()
    given = Model.parse(options.base)
    base = ClipSpec.parse(given.model, given.pretrained, names=BASE)
    run = ClipSpec.parse(options.run, names=RUN)
    data = {name: [Data.parse(text) for text in getattr(options, name)] for name in ("gain", "retain")}
    _check_names([each.name for of in data.values() for each in of])
    if alphas and options.gain and options.retain:
        check_plot()
    inputs = [each.dir for of in data.values() for each in of]
    check_writable(str(out / ABOUT), [*inputs, options.run, given.model], [], "--out")
    asked = _inputs(base, run, data, options)
    _check_folder(out, [Path(options.run), Path(given.model)], options.overwrite)
    if done := _finished(out, asked):
        return done
    one, other = load_both(base, run)
    before, after = ({name: value.clone() for name, value in each.state_dict().items()} for each in (one, other))
    config = run.model_cfg()

    def write(folder: Path, alpha: float) -> None:
        other.load_state_dict(blended(before, after, alpha))
        save_model(folder, other, config)

    out.mkdir(parents=True, exist_ok=True)
    measured = _Measured(out / MEASURED, asked)
    for alpha in alphas:
        if measured.has(alpha):
            continue
        write(out / PART, alpha)
        measured.add(alpha, {name: _headlines(of, out / PART, options, plain) for name, of in data.items()})
    points = measured.points(alphas)
    chosen = options.alpha
    if chosen is None:
        chosen = choose(points, options.most_loss).alpha
    write(out, chosen)
    if options.gain and options.retain:
        write_whole(out / CURVE, picture(points, next(point for point in points if point.alpha == chosen)))
    write_whole(out / ABOUT, _about(asked, base, run, points, chosen))
    shutil.rmtree(out / PART, ignore_errors=True)
    (out / MEASURED).unlink(missing_ok=True)
    return Blended(out, chosen, points)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            fix = "give each once, under different names"
            raise ConfigError(f"--gain and --retain {name}", "given twice", fix)


def _check_folder(out: Path, models: Sequence[Path], overwrite: bool) -> None:
    """Check that a folder is empty, unfinished, or to be overwritten; remove what is to be."""
    for model in (path.expanduser().resolve() for path in models):
        if model.is_dir() and out.resolve() in (model, *model.parents):
            raise ConfigError(f"--out {out}", f"it contains the model {model.name}", "give another folder")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if others := sorted(names - WRITTEN):
        raise ConfigError(
            f"--out {out}", f"it contains {others[0]}, which blend doesn't write", "give another folder"
        )
    if names and overwrite:
        shutil.rmtree(out)


def _inputs(base: ClipSpec, run: ClipSpec, data: dict[str, list[Data]], options: BlendOptions) -> str:
    """Return a digest of all that the result depends on, but for the content of the data."""
    where = {name: [asdict(each) for each in of] for name, of in data.items()}
    said: list[Any] = [base.identity, base.changes, run.identity, where]
    said += [options.points(), options.alpha, options.most_loss]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _finished(out: Path, asked: str) -> Blended | None:
    """Return the result of an earlier, finished command with the same inputs and options; None if there is none.

    Raises:
        ConfigError: it had others.
    """
    if not (out / ABOUT).exists():
        return None
    try:
        found = json.loads((out / ABOUT).read_text())
        if found["inputs"] == asked and (out / WEIGHTS).exists():
            points = (Point(each["alpha"], each["gains"], each["retained"]) for each in found["points"])
            return Blended(out, found["alpha"], tuple(points), done_before=True)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # damaged, so not ours to continue
    why = "it holds a finished blend of other models, data or options"
    raise ConfigError(f"--out {out}", why, "give another folder, or --overwrite")


class _Measured:
    """Metrics by alpha, in a file, so that an interrupted command goes on where it was."""

    def __init__(self, path: Path, inputs: str) -> None:
        self._path, self._inputs = path, inputs
        self._found: dict[str, dict[str, dict[str, float]]] = {}
        try:
            content = json.loads(path.read_text())
            if content["inputs"] == inputs:
                self._found = content["alphas"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing was measured, or of something else

    def has(self, alpha: float) -> bool:
        return repr(alpha) in self._found

    def add(self, alpha: float, found: dict[str, dict[str, float]]) -> None:
        self._found[repr(alpha)] = found
        write_whole(self._path, json.dumps({"inputs": self._inputs, "alphas": self._found}))

    def points(self, alphas: Sequence[float]) -> tuple[Point, ...]:
        found = ((alpha, self._found[repr(alpha)]) for alpha in alphas)
        return tuple(Point(alpha, of["gain"], of["retain"]) for alpha, of in found)


def _headlines(data: Sequence[Data], model: Path, options: BlendOptions, plain: bool) -> dict[str, float]:
    return {each.name: _headline(each, model, options, plain) for each in data}


def _headline(data: Data, model: Path, options: BlendOptions, plain: bool) -> float:
    """Return the headline metric of a model on data, in percent."""
    given = EvalOptions(
        str(model), data.dir, protocol=data.protocol, batch_size=options.batch_size, device=options.device
    )
    if find_benchmark(given) is None:  # a dataset directory, of whose suites only one is needed
        given = replace(given, suite=RETRIEVAL)
    return headline(run_eval(given, plain))


def headline(report: Report) -> float:
    """Return the one metric of a report that stands for the data, in percent.

    Retrieval: recall@1, the mean of both directions; zero-shot classification: acc1; SugarCrepe and FG-OVD: the
    mean accuracy of their files; Winoground: the group score.
    """
    if ZEROSHOT in report.suites:
        return report.suites[ZEROSHOT].figures["images"]["acc1"]
    for name in (SUGARCREPE, FGOVD):
        if name in report.suites:
            accuracies = [row["accuracy"] for row in report.suites[name].figures.values()]
            return sum(accuracies) / len(accuracies)
    if WINOGROUND in report.suites:
        return report.suites[WINOGROUND].figures["examples"]["group"]
    recalls = [row["R@1"] for row in report.suites[RETRIEVAL].figures.values()]
    return sum(recalls) / len(recalls)


def _about(asked: str, base: ClipSpec, run: ClipSpec, points: Sequence[Point], chosen: float) -> str:
    best = {point.alpha for point in pareto(points)}
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "base": {"name": base.name, "identity": base.identity},
        "run": {"name": run.name, "identity": run.identity},
        "alpha": chosen,
        "inputs": asked,
        "points": [
            asdict(point) | {"gain": point.gain, "retention": point.retention, "pareto": point.alpha in best}
            for point in points
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
