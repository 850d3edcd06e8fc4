import random
from io import BytesIO

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glitbuild.images.stored import open_rgb, store_image
from glitbuild.stages.ingest.near import MAX_DISTANCE, NearHashes, perceptual_hash
from tests.images.pictures import smooth
from tests.images.turns import SHUFFLE
from tests.stages.ingest.conftest import exif, save


def differ(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@st.composite
def clusters(draw: st.DrawFn) -> list[int]:
    """Hashes of which many are close to one another."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.sets(st.integers(0, 63), max_size=9)
    found = draw(st.lists(st.tuples(st.sampled_from(centres), flips), min_size=1, max_size=25))
    return [centre ^ sum(1 << bit for bit in bits) for centre, bits in found]


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(clusters(), clusters(), st.integers(0, MAX_DISTANCE))
def test_the_first_that_is_near_is_found_as_by_looking_at_all(
    hashes: list[int], queries: list[int], distance: int
) -> None:
    with NearHashes(distance) as near:
        for key, hash in enumerate(hashes):
            near.add(hash, key)
        for query in [*queries, *hashes]:
            all_near = [(key, differ(hash, query)) for key, hash in enumerate(hashes)]
            assert near.find(query) == next((found for found in all_near if found[1] <= distance), None)


def test_only_a_part_is_looked_at() -> None:
    """Of hashes drawn at random, a search compares those that share a band: about one in a thousand."""
    drawn = random.Random(0)
    with NearHashes(4) as near:
        for key in range(5000):
            near.add(drawn.getrandbits(64), key)
        compared: list[int] = []
        near._connection.set_trace_callback(lambda statement: compared.append(statement.count("SELECT")))
        near.find(drawn.getrandbits(64))
        near._connection.set_trace_callback(None)
        assert sum(compared) == 5
        plan = "EXPLAIN QUERY PLAN SELECT key, hash FROM near WHERE band = 1 AND bits = 7"
        assert "SEARCH" in near._connection.execute(plan).fetchone()[3]


def decoded(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_near_and_others_are_far(seed: int) -> None:
    picture = smooth(seed)
    original = perceptual_hash(decoded(save(picture, "JPEG", quality=95)))
    width, height = picture.size
    copies = [
        save(picture.resize((width // 2, height // 2)), "JPEG"),
        save(picture.resize((width * 3, height * 3)), "JPEG"),
        save(picture, "JPEG", quality=40),
        save(picture.convert("L"), "JPEG"),
        save(picture.convert("CMYK"), "JPEG"),
    ]
    assert max(differ(original, perceptual_hash(decoded(copy))) for copy in copies) <= 4
    others = [perceptual_hash(smooth(seed + 10 + more)) for more in range(4)]
    assert min(differ(original, other) for other in others) > MAX_DISTANCE


def test_it_is_the_hash_of_the_library_for_a_small_picture() -> None:
    picture = smooth(3).resize((60, 40))
    assert f"{perceptual_hash(picture):016x}" == str(imagehash.phash(picture))


@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
@pytest.mark.parametrize(("size", "max_side"), [((64, 48), None), ((61, 43), None), ((64, 48), 40)])
def test_a_picture_and_its_turned_copy_with_a_note_are_one(
    orientation: int, size: tuple[int, int], max_side: int | None
) -> None:
    """Turned without loss, turned and encoded anew, or made smaller: what is hashed is upright."""
    picture = smooth(5, size)
    turned = Image.fromarray(np.ascontiguousarray(SHUFFLE[orientation](np.asarray(picture))))
    hashes: list[int] = []
    for data in (save(turned, "JPEG", exif=exif(orientation), quality=95), save(picture, "JPEG", quality=95)):
        stored, _ = store_image(data, 10**6, max_side, lambda image: hashes.append(perceptual_hash(image)))
        hashes.append(perceptual_hash(open_rgb(stored)))
    assert len(hashes) == 4
    assert max(differ(hashes[0], other) for other in hashes) <= 4
