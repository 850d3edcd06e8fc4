"""The options of ``glitbuild demo``."""

from dataclasses import dataclass, field

from glitbuild.options import OVERWRITE, Options, about


@dataclass(frozen=True, slots=True)
class DemoOptions(Options):
    """Run every stage on drawn scenes with the embedded models: no network, no GPU, a minute or two.

    Ends with what each stage made, how right it was, what the training changed, and a page to look at.
    """

    out: str = field(default="glitbuild-demo", metadata=about("Directory to write."))
    real: bool = field(
        default=False,
        metadata=about("Two photographs and real models, which it downloads, instead of scenes."),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)
