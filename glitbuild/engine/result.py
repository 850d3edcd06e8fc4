"""What a command that makes a dataset came to."""

from dataclasses import dataclass

from glitbuild.shards.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        manifest: of the finished dataset.
        done_before: nothing was left to do.
        images_per_second: over the run, models' loading excluded.
    """

    manifest: Manifest
    done_before: bool
    images_per_second: float = 0.0
