"""The rows of finished shards, read again without their images: is the input the same?"""

from glitbuild.engine.row_stream import RowStream
from glitbuild.engine.shard_pictures import read_pictures
from glitbuild.errors import OptionsChangedError
from glitbuild.shards.layout import shard_name
from glitbuild.shards.retried import is_retried, row_range
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store


def replay_all(stream: RowStream, out: Store, shards: int) -> bool:
    """Read the rows of a finished dataset again; false where a shard has to be made again."""
    for index in range(shards):
        sidecar = Sidecar.read(out, shard_name(index))
        if sidecar is None:
            stream.restart()
            return False
        if is_retried(sidecar):
            continue  # its rows were those of other shards
        replay(stream, out, sidecar)
    if stream.has_more():
        raise input_changed(out, "it has more rows now")
    return True


def replay(stream: RowStream, out: Store, sidecar: Sidecar) -> None:
    """Read the rows of a finished shard again, which are the next ones.

    Raises:
        OptionsChangedError: they are others than it was made of.
        DatasetError: its sidecar does not fit its rows.
    """
    start, end = row_range(out, sidecar)
    pictures = read_pictures(out, sidecar, stream.sieve.picture_bytes)
    if stream.position != start or not stream.replay_shard(pictures).items() <= sidecar.input.items():
        raise input_changed(out, f"rows {start} to {end - 1} (shard {sidecar.shard}) are not what they were")


def input_changed(out: Store, why: str) -> OptionsChangedError:
    """Return the error that says how the input differs from that of the finished shards."""
    return OptionsChangedError(
        out.url, f"begun with another input: {why}", "give the same input, another --out, or --overwrite"
    )
