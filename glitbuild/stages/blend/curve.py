"""The curve of gain against retention over alpha: its Pareto points, the choice, the picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from glitbuild.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Point:
    """Metrics of the blend with one alpha, in percent.

    Attributes:
        alpha: share of the run.
        gains: headline metric on each data of ``--gain``, by its name.
        retained: headline metric on each data of ``--retain``, by its name.
    """

    alpha: float
    gains: dict[str, float]
    retained: dict[str, float]

    @property
    def gain(self) -> float:
        """Mean over the data of ``--gain``; 0 without any."""
        return sum(self.gains.values()) / max(1, len(self.gains))

    @property
    def retention(self) -> float:
        """Mean over the data of ``--retain``; 0 without any."""
        return sum(self.retained.values()) / max(1, len(self.retained))


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats in gain or retention without losing in the other."""
    return [
        point
        for point in points
        if not any(
            other.gain >= point.gain
            and other.retention >= point.retention
            and (other.gain > point.gain or other.retention > point.retention)
            for other in points
        )
    ]


def choose(points: Sequence[Point], most_loss: float) -> Point:
    """Return the point with the highest gain whose retention is at most so many points below that of alpha 0.

    Among equal gains, the lowest alpha. The base itself always qualifies.

    Args:
        points: points with ascending alphas, the first of which is 0.
        most_loss: points of percent.
    """
    floor = points[0].retention - most_loss
    return max(
        (point for point in points if point.retention >= floor), key=lambda point: (point.gain, -point.alpha)
    )


def check_plot() -> None:
    """Check that the library that draws the curve is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        why, fix = "it draws the curve with matplotlib, which is not installed", "pip install 'glitbuild[plot]'"
        raise ConfigError("glitbuild blend", why, fix) from error


def picture(points: Sequence[Point], chosen: Point) -> bytes:
    """Return the curve as PNG: retention on the x-axis, gain on the y-axis, Pareto points filled.

    Args:
        points: points with ascending alphas.
        chosen: the one that is written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    best = pareto(points)
    axes.plot([p.retention for p in points], [p.gain for p in points], color="#9aa5b1", zorder=1)
    for group, face in ((best, "#1f6feb"), ([p for p in points if p not in best], "white")):
        axes.scatter(
            [p.retention for p in group], [p.gain for p in group], color=face, edgecolors="#1f6feb", zorder=2
        )
    axes.scatter([chosen.retention], [chosen.gain], s=160, facecolors="none", edgecolors="#d1242f", zorder=3)
    for point in points:
        axes.annotate(
            rf"$\alpha$ = {point.alpha:g}", (point.retention, point.gain), xytext=(6, 6), textcoords="offset points"
        )
    axes.axvline(points[0].retention, linestyle=":", color="#9aa5b1")
    axes.set_xlabel(f"retained: {', '.join(points[0].retained)} (mean, %)")
    axes.set_ylabel(f"gained: {', '.join(points[0].gains)} (mean, %)")
    axes.set_title("filled: Pareto points; circle: chosen; dotted: the base's retention", fontsize="small")
    axes.margins(x=0.2, y=0.12)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()
