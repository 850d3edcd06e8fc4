"""The options of ``glitbuild demo``."""

from dataclasses import dataclass, field

from glitbuild.options import OVERWRITE, Options, about


@dataclass(frozen=True, slots=True)
class DemoOptions(Options):
    """Run every stage on drawn scenes with the embedded models, in a minute or two without network or GPU.

    At the end, it reports the output and accuracy of each stage, the effect of the training, and a preview page.
    """

    out: str = field(default="glitbuild-demo", metadata=about("Directory to write."))
    real: bool = field(
        default=False,
        metadata=about("Use two photographs and real models, which are downloaded, instead of scenes."),
    )
    overwrite: bool = field(default=False, metadata=OVERWRITE)
