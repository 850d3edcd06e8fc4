"""What scenes are: deterministic, within bounds, apart by split, alike in contrast groups."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.stages.scenes.command import make_sample
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.layout import drawn_mask, nearer, occlusion, sprite
from glitbuild.stages.scenes.options import HELD_OUT_KINDS, SPLITS, ScenesOptions, owner
from glitbuild.stages.scenes.render import encode, render
from glitbuild.stages.scenes.scene import PLACES, SIZES, Look, Scene
from glitbuild.stages.scenes.shapes import COLOURS, PATTERNS
from glitbuild.stages.scenes.world import GROUP, make_scene
from tests.stages.scenes.worlds import options, world


def test_the_world_is_wide_enough() -> None:
    assert len(KINDS) >= 30 and len(COLOURS) >= 10 and len(PATTERNS) >= 5 and len(SIZES) == 3 and len(PLACES) >= 6


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 10**9), split=st.sampled_from(SPLITS))
def test_equal_arguments_make_equal_scenes(seed: int, index: int, split: str) -> None:
    one, other = (ScenesOptions(count=n, out=out, seed=seed, split=split) for n, out in ((1, "a"), (10**9, "b")))
    assert make_sample(one, index) == make_sample(other, index)


def test_seeds_splits_and_indices_make_different_scenes() -> None:
    chosen = [options(seed=seed, split=split, contrast=0.0) for seed in (1, 2) for split in SPLITS]
    scenes = {make_scene(each, index).things for each in chosen for index in range(5)}
    assert len(scenes) == len(chosen) * 5


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_boxes_are_tight_and_nothing_is_hidden_too_much(split: str) -> None:
    for scene, _, _ in world(split):
        assert 2 <= len(scene.things) <= 9
        masks = [drawn_mask(thing.look, thing.pixels) for thing in scene.things]
        owners = np.full((scene.height, scene.width), -1)
        for i in sorted(range(len(masks)), key=lambda i: (scene.things[i].depth, i)):
            x1, y1, x2, y2 = scene.things[i].box
            assert 0 <= x1 < x2 <= scene.width and 0 <= y1 < y2 <= scene.height
            assert masks[i].shape == (y2 - y1, x2 - x1)
            edges = (masks[i][0], masks[i][-1], masks[i][:, 0], masks[i][:, -1])
            assert all(edge.any() for edge in edges)
            owners[y1:y2, x1:x2][masks[i]] = i
        for i, (thing, mask) in enumerate(zip(scene.things, masks, strict=True)):
            visible = (owners == i).sum() / mask.sum()
            assert visible >= 0.6
            assert thing.visible == pytest.approx(visible, abs=0.001)


def test_who_hides_whom_follows_from_depth() -> None:
    for scene, _, _ in world():
        for i, thing in enumerate(scene.things):
            assert all(nearer(scene.things, i, j) for j in thing.hides)
            assert all(scene.things[j].visible < 1 for j in thing.hides)


def test_an_object_alone_is_wholly_visible() -> None:
    scene = world()[0][0]
    thing = scene.things[0]
    assert occlusion([thing], [drawn_mask(thing.look, thing.pixels)]) == ([1.0], [[]])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn_in_every_pattern(kind: str) -> None:
    shapes = set()
    for pattern in PATTERNS:
        look = Look(kind, "blue", pattern, "medium", "left" if KINDS[kind].faces else "", 0)
        image, alpha, _ = sprite(look, 96)
        assert image.size == alpha.size and max(image.size) <= 96 * 1.3
        shapes.add(image.tobytes())
        assert drawn_mask(look, 96).mean() > 0.1
    assert len(shapes) == len(PATTERNS)


def test_kinds_differ_in_silhouette() -> None:
    sketches = {}
    for kind in KINDS:
        mask = drawn_mask(Look(kind, "blue", "plain", "medium", "", 0), 96)
        square = np.zeros((100, 100), bool)
        square[: mask.shape[0], : mask.shape[1]] = mask
        sketches[kind] = square
    names = list(sketches)
    for i, one in enumerate(names):
        for other in names[:i]:
            a, b = sketches[one], sketches[other]
            assert (a & b).sum() / (a | b).sum() < 0.93, (one, other)


@pytest.mark.slow
def test_splits_hold_out_what_they_say() -> None:
    for split in SPLITS:
        for scene, _, _ in world(split):
            looks = [thing.look for thing in scene.things]
            assert all(owner(look.kind, look.colour) in ("", split) for look in looks)
            assert not {look.kind for look in looks} & set(HELD_OUT_KINDS)
            assert len({(look.kind, look.colour) for look in looks}) == len(looks)
    combinations = {(k, c): owner(k, c) for k in KINDS for c in COLOURS}
    assert list(combinations.values()).count("test") == list(combinations.values()).count("val") == len(KINDS)


def test_held_out_kinds_are_in_every_scene_that_asks_for_them() -> None:
    for scene, _, truth in world("test", 40, held_out_kinds=True):
        assert any(thing.look.kind in HELD_OUT_KINDS for thing in scene.things)
        assert "kind" in {thing["held_out"] for thing in truth["objects"]}


@pytest.mark.slow
def test_contrast_groups_differ_in_exactly_one_thing() -> None:
    seen = set()
    rows = world("train", 160, contrast=1.0)
    for start in range(0, len(rows), GROUP):
        scenes = [scene for scene, _, _ in rows[start : start + GROUP]]
        first = scenes[0]
        seen.add(first.differs)
        assert {scene.group for scene in scenes} == {first.key}
        last = len(first.things) - 1
        for scene in scenes:
            assert scene.focus == last
            assert replace(scene, index=0, things=()) == replace(first, index=0, things=())
            assert [t.look for t in scene.things[:-1]] == [t.look for t in first.things[:-1]]
            assert [t.box for t in scene.things[:-1]] == [t.box for t in first.things[:-1]]
        things = [scene.things[-1] for scene in scenes]
        if first.differs == "place":
            assert len({thing.box for thing in things}) == GROUP and len({thing.look for thing in things}) == 1
            continue
        assert {thing.box for thing in things} == {things[0].box}
        assert len({getattr(thing.look, first.differs) for thing in things}) == GROUP
        same = {replace(thing.look, **{first.differs: ""}) for thing in things}
        assert len(same) == 1
    assert seen == {"colour", "pattern", "place"}


@pytest.mark.slow
def test_only_sentences_about_the_focus_tell_the_scenes_of_a_group_apart() -> None:
    rows = world("train", 160, contrast=1.0)
    for start in range(0, len(rows), GROUP):
        said = []
        for scene, caption, truth in rows[start : start + GROUP]:
            spans = [s["span"] for s in truth["sentences"] if s["objects"] != [scene.focus]]
            said.append([caption[a:b] for a, b in spans])
        assert said == [said[0]] * GROUP
        assert len({caption for _, caption, _ in rows[start : start + GROUP]}) == GROUP


@pytest.mark.slow
def test_what_tells_scenes_apart_comes_late_in_the_share_asked_for() -> None:
    """Among the last: as far behind as if all places were drawn from the last quarter."""
    behind = {}
    for late in (0.0, 0.8, 1.0):
        rows = world("train", 240, contrast=1.0, late=late)
        places = []
        for scene, _, truth in rows:
            own = [place for place, s in enumerate(truth["sentences"]) if s["objects"] == [scene.focus]]
            places.append(own[0] / len(truth["sentences"]))
        behind[late] = sum(places) / len(places)
    assert behind[0.0] < 0.6 < behind[0.8] < behind[1.0]


@pytest.mark.slow
def test_the_share_of_contrast_scenes_is_the_one_asked_for() -> None:
    assert not any(scene.group for scene, _, _ in world("train", 40, contrast=0.0))
    grouped = sum(bool(make_scene(options(contrast=0.25), index).group) for index in range(0, 800, 4))
    assert 30 <= grouped <= 70


@pytest.mark.parametrize("size", [384, 500])
def test_pictures_have_the_size_asked_for(size: int) -> None:
    scenes = [make_scene(options(size=size), index) for index in range(8)]
    assert {scene.width for scene in scenes} == {size, size * 4 // 3}
    for scene in scenes[:2]:
        image = render(scene)
        assert image.size == (scene.width, scene.height) and scene.height == size
        assert encode(image)[:2] == b"\xff\xd8"


def test_an_object_is_where_its_box_is() -> None:
    """Two pictures of a contrast group differ in the box of the thing that differs, and nowhere else."""
    rows = [scene for scene, _, _ in world("train", 160, contrast=1.0) if scene.differs == "colour"]
    one, other = rows[0], rows[1]
    assert isinstance(one, Scene) and one.group == other.group
    changed = (np.asarray(render(one)) != np.asarray(render(other))).any(axis=2)
    x1, y1, x2, y2 = one.things[-1].box
    outside = changed.copy()
    outside[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1] = False  # a pixel for soft edges
    assert changed.any() and not outside.any()


@pytest.mark.slow
def test_a_difference_in_pattern_can_be_seen() -> None:
    rows = [scene for scene, _, _ in world("train", 160, contrast=1.0) if scene.differs == "pattern"]
    for one, other in pairwise(rows):
        if one.group == other.group:
            changed = (np.asarray(render(one)) != np.asarray(render(other))).any(axis=2)
            assert changed.sum() >= 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "hard",
    [
        {"min_objects": 9, "contrast": 1.0},
        {"min_objects": 9, "contrast": 0.0, "size": 1024},
        {"kinds": "bicycle", "min_objects": 6, "max_objects": 6, "contrast": 1.0},
        {"kinds": "bus,sofa,bed", "min_objects": 9, "contrast": 1.0},
    ],
)
def test_there_is_a_layout_however_crowded(hard: dict[str, int]) -> None:
    for index in range(40):
        scene = make_scene(options(**hard), index)
        assert len(scene.things) == hard["min_objects"]
        assert all(thing.visible >= 0.6 for thing in scene.things)
