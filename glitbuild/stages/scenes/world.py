"""Makes scenes: everything about scene i follows from the seed, the split, the options and i."""

from dataclasses import replace

import numpy as np

from glitbuild.stages.scenes.kinds import KINDS, parse_kinds
from glitbuild.stages.scenes.layout import Layout
from glitbuild.stages.scenes.options import HELD_OUT_KINDS, ScenesOptions, colours_for, pick, stream
from glitbuild.stages.scenes.scene import PLACES, SIZES, Look, Scene, Thing, cell, make_setting
from glitbuild.stages.scenes.shapes import PATTERNS, WORDS

GROUP = 4
"""Scenes of a contrast group."""

DIFFERENCES = ("colour", "pattern", "place")

TILTS = (-30, -20, 20, 30)

Group = tuple[tuple[Thing, ...], ...]


def make_scene(options: ScenesOptions, index: int) -> Scene:
    """Return scene ``index``, whatever others there are."""
    block = index - index % GROUP
    chance = float(stream(options.seed, options.split, block, "block").random())
    grouped = chance < options.contrast
    base = block if grouped else index
    setting_rng = stream(options.seed, options.split, base, "setting")
    width = options.size if setting_rng.random() < 0.5 else options.size * 4 // 3
    setting = make_setting(pick(list(PLACES), setting_rng.random()), setting_rng)
    noise = stream(options.seed, options.split, index, "noise").random()
    scene = Scene(
        options.seed,
        options.split,
        index,
        base,
        width,
        options.size,
        setting,
        (),
        late=options.late,
        false=bool(noise < options.noise),
    )
    for attempt in range(100):
        rng = stream(options.seed, options.split, base, "objects", attempt)
        # Few objects are more common than many, of which captions become long.
        span = options.max_objects - options.min_objects + 1
        count = options.min_objects + int(span * float(rng.random()) ** 1.3)
        # What can't be placed is drawn anew, at last with small objects only: nine of them always fit.
        looks = _looks(options, rng, count, shrink=attempt >= 6)
        layout = Layout(width, options.size, setting.horizon)
        places = stream(options.seed, options.split, base, "layout", attempt)
        if not grouped:
            if all(layout.add(look, places) for look in looks):
                return replace(scene, things=layout.finished())
            continue
        # Which attribute a group differs in must not depend on what is easy to place.
        differs = pick(_differences(options), chance / options.contrast)
        if group := _contrast(options, rng, places, layout, looks, differs):
            return replace(scene, things=group[index - block], differs=differs, focus=count - 1)
    raise RuntimeError(f"no layout for scene {index} of seed {options.seed}")


def _differences(options: ScenesOptions) -> list[str]:
    """Return in what the scenes of a group may differ: in patterns only where some kind has them."""
    patterned = any(not kind.narrow for kind in parse_kinds(options.kinds) or KINDS.values())
    return [name for name in DIFFERENCES if patterned or name != "pattern"]


def _looks(options: ScenesOptions, rng: np.random.Generator, count: int, shrink: bool) -> list[Look]:
    """Return the looks of a scene's objects: no two of a kind have the same colour."""
    named = [kind.name for kind in parse_kinds(options.kinds)] or list(KINDS)
    usual = [name for name in named if name not in HELD_OUT_KINDS]
    rare = [name for name in named if name in HELD_OUT_KINDS]
    looks: list[Look] = []
    while len(looks) < count:
        if options.held_out_kinds and (not looks or not usual):
            kind = pick(rare, rng.random())
        elif looks and rng.random() < 0.3:
            kind = pick(looks, rng.random()).kind  # the same kind again, in another colour
        else:
            kind = pick(usual, rng.random())
        colour = pick(colours_for(options.split, kind), rng.random())
        if any((look.kind, look.colour) == (kind, colour) for look in looks):
            continue
        looks.append(_look(kind, colour, rng, shrink))
    order = rng.permutation(count)
    return [looks[number] for number in order]


def _look(kind: str, colour: str, rng: np.random.Generator, shrink: bool) -> Look:
    u = rng.random(6).tolist()
    pattern = "plain" if u[0] < 0.25 or KINDS[kind].narrow else pick(PATTERNS[1:], u[1])
    size = "small" if shrink else pick(list(SIZES), u[2])
    facing = pick(("left", "right"), u[3]) if KINDS[kind].faces else ""
    tilt = pick(TILTS, u[4]) if KINDS[kind].tilts and u[4] * 10 % 1 < 0.5 else 0
    return Look(kind, colour, pattern, size, facing, tilt, pick(WORDS, u[5]) if kind == "signpost" else "")


def _contrast(
    options: ScenesOptions,
    rng: np.random.Generator,
    places: np.random.Generator,
    layout: Layout,
    looks: list[Look],
    differs: str,
) -> Group | None:
    """Return the things of a group's four scenes, in which the last thing differs; None where it doesn't fit."""
    *others, last = looks
    if differs == "pattern":
        if KINDS[last.kind].narrow:
            return None
        last = replace(last, size="medium") if last.size == "small" else last  # large enough to be seen
    if not all(layout.add(look, places) for look in others):
        return None
    found: list[tuple[Thing, ...]] = []
    if differs == "place":
        cells: set[tuple[int, int]] = set()
        for _ in range(GROUP):
            thing = layout.add(last, places, lambda thing: cell(thing.box, *layout.extent) not in cells)
            if thing is None:
                return None
            found.append(layout.finished())
            layout.drop()
            cells.add(cell(thing.box, *layout.extent))
    else:
        variants = _variants(options, rng, others, last, differs)
        if len(variants) < GROUP or layout.add(last, places) is None:
            return None
        things = layout.finished()
        found = [(*things[:-1], replace(things[-1], look=look)) for look in variants]
    order = rng.permutation(GROUP)
    return tuple(found[number] for number in order)


def _variants(
    options: ScenesOptions, rng: np.random.Generator, others: list[Look], last: Look, differs: str
) -> list[Look]:
    """Return up to four looks that differ in one attribute, in random order."""
    if differs == "pattern":
        order = rng.permutation(len(PATTERNS))[:GROUP]
        return [replace(last, pattern=PATTERNS[number]) for number in order]
    taken = {look.colour for look in others if look.kind == last.kind}
    colours = [colour for colour in colours_for(options.split, last.kind) if colour not in taken]
    return [replace(last, colour=colours[number]) for number in rng.permutation(len(colours))[:GROUP]]
