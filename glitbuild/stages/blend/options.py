"""Options of ``glitbuild blend``."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from glitbuild.errors import ConfigError
from glitbuild.options import OVERWRITE, Options, about
from glitbuild.stages.evaluate.options import BATCH_SIZE, DEVICE

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class BlendOptions(Options):
    """Blend a fine-tuned run with its base, to keep what the base knew: WiSE-FT for stretched models.

    The weights are (1 - alpha) BASE + alpha RUN. Each alpha is evaluated on what the run should gain and on what it
    should retain; the chosen blend is written as a run's folder, with the curve as JSON and as a picture. BASE is a
    folder with a model, ARCHITECTURE@PRETRAINED, or demo.
    """

    base: str = field(metadata=about("Model that RUN was fine-tuned from.", argument=True))
    run: str = field(metadata=about("Folder of the run.", argument=True))
    out: str = field(metadata=about("Folder to write."))
    gain: Sequence[str] = field(
        default=(),
        metadata=about("Data on which the run should gain: DIR, or PROTOCOL=DIR. Repeat it for more."),
    )
    retain: Sequence[str] = field(
        default=(),
        metadata=about("Data on which it should lose nothing: the same, or a benchmark. Repeat it for more."),
    )
    alphas: Sequence[float] = field(
        default=(),
        metadata=about(
            "Alphas to evaluate, separated by commas.", absent="0,0.25,0.5,0.75,1", least=0, most=1, commas=True
        ),
    )
    alpha: float | None = field(
        default=None,
        metadata=about("Alpha to write.", absent="highest gain within --most-loss", least=0, most=1),
    )
    most_loss: float = field(
        default=1.0,
        metadata=about("Most points that --retain may lose on average against BASE.", least=0),
    )
    batch_size: int = field(default=64, metadata=BATCH_SIZE)
    device: str = field(
        default="auto",
        metadata=DEVICE,
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.alpha is None and not (self.gain and self.retain):
            fix = "give data for both, or --alpha"
            raise ConfigError("--gain and --retain", "without both, no alpha can be chosen", fix)

    def points(self) -> tuple[float, ...]:
        """Return the alphas to evaluate, in ascending order; with 0, the base, and the chosen one."""
        if not (self.gain or self.retain):
            return ()
        chosen = () if self.alpha is None else (self.alpha,)
        return tuple(sorted({0.0, *chosen, *(self.alphas or ALPHAS)}))
