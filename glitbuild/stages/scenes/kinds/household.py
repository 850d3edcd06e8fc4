"""Furniture, tools and other things of a household."""

from glitbuild.stages.scenes.shapes import Kind, arc, line, oval, poly, rect

FURNITURE = (
    Kind(
        "chair",
        0.62,
        (
            rect("body", 0.0, 0.0, 0.16, 1),
            rect("body", 0.0, 0.04, 0.3, 0.4),
            rect("body", 0.0, 0.52, 1, 0.64),
            rect("shade", 0.84, 0.62, 0.98, 1),
        ),
        faces=True,
        narrow=True,
    ),
    Kind(
        "table",
        1.6,
        (
            rect("body", 0, 0.0, 1, 0.22),
            rect("shade", 0.08, 0.22, 0.17, 1),
            rect("shade", 0.83, 0.22, 0.92, 1),
            rect("shade", 0.17, 0.3, 0.83, 0.4),
        ),
    ),
    Kind(
        "floor lamp",
        0.5,
        (
            rect("metal", 0.46, 0.28, 0.54, 0.96),
            arc("metal", 0.2, 0.88, 0.8, 1.12, 180, 360),
            poly("body", (0.26, 0.0), (0.74, 0.0), (1, 0.34), (0, 0.34)),
        ),
        narrow=True,
    ),
    Kind(
        "bed",
        1.9,
        (
            rect("wood", 0.0, 0.0, 0.07, 1),
            rect("wood", 0.93, 0.34, 1, 1),
            rect("wood", 0.05, 0.66, 0.95, 0.84),
            oval("light", 0.07, 0.24, 0.32, 0.56),
            poly("body", (0.07, 0.48), (0.3, 0.42), (0.93, 0.42), (0.93, 0.7), (0.07, 0.7)),
        ),
    ),
    Kind(
        "bookshelf",
        0.72,
        (
            rect("body", 0, 0, 1, 1),
            *(rect("dark", 0.09, y, 0.91, y + 0.24) for y in (0.06, 0.37, 0.68)),
            *(
                rect(role, x, y + 0.05, x + 0.1, y + 0.24)
                for y in (0.06, 0.37, 0.68)
                for x, role in ((0.12, "light"), (0.25, "wood"), (0.38, "metal"), (0.62, "light"), (0.75, "wood"))
            ),
        ),
    ),
    Kind(
        "alarm clock",
        0.95,
        (
            line("metal", 0.05, (0.25, 0.88), (0.16, 1)),
            line("metal", 0.05, (0.75, 0.88), (0.84, 1)),
            arc("shade", 0.04, 0.02, 0.42, 0.34, 150, 340),
            arc("shade", 0.58, 0.02, 0.96, 0.34, 200, 390),
            oval("body", 0.06, 0.12, 0.94, 0.98),
            oval("light", 0.2, 0.26, 0.8, 0.84),
            line("dark", 0.03, (0.5, 0.32), (0.5, 0.55), (0.66, 0.62)),
        ),
    ),
    Kind(
        "sofa",
        1.9,
        (
            rect("body", 0.08, 0.0, 0.92, 0.6),
            rect("tint", 0.14, 0.46, 0.495, 0.66),
            rect("tint", 0.505, 0.46, 0.86, 0.66),
            rect("shade", 0.1, 0.64, 0.9, 0.88),
            rect("body", 0.0, 0.3, 0.15, 0.88),
            rect("body", 0.85, 0.3, 1, 0.88),
            rect("wood", 0.06, 0.88, 0.12, 1),
            rect("wood", 0.88, 0.88, 0.94, 1),
        ),
    ),
)

TOOLS = (
    Kind(
        "hammer",
        0.8,
        (
            rect("wood", 0.42, 0.2, 0.56, 1),
            poly("body", (0.12, 0.02), (0.74, 0.02), (0.74, 0.28), (0.3, 0.28), (0.0, 0.36)),
            rect("shade", 0.74, 0.0, 1, 0.3),
        ),
        tilts=True,
        narrow=True,
    ),
    Kind(
        "key",
        2.3,
        (
            poly(
                "body",
                (0.3, 0.4),
                (1, 0.4),
                (1, 0.95),
                (0.93, 0.95),
                (0.93, 0.6),
                (0.85, 0.6),
                (0.85, 0.85),
                (0.78, 0.85),
                (0.78, 0.6),
                (0.3, 0.6),
            ),
            oval("body", 0.0, 0.06, 0.4, 0.94),
            oval("dark", 0.1, 0.3, 0.27, 0.7),
        ),
        tilts=True,
        narrow=True,
    ),
    Kind(
        "ladder",
        0.4,
        (
            rect("body", 0.0, 0, 0.16, 1),
            rect("body", 0.84, 0, 1, 1),
            *(rect("shade", 0.1, y, 0.9, y + 0.055) for y in (0.08, 0.25, 0.42, 0.59, 0.76)),
        ),
        tilts=True,
        narrow=True,
    ),
    Kind(
        "bucket",
        0.9,
        (
            line("metal", 0.04, (0.06, 0.32), (0.16, 0.1), (0.5, 0.02), (0.84, 0.1), (0.94, 0.32)),
            poly("body", (0.0, 0.32), (1, 0.32), (0.82, 1), (0.18, 1)),
            oval("shade", 0.0, 0.24, 1, 0.42),
        ),
    ),
    Kind(
        "umbrella",
        1.0,
        (
            line("wood", 0.04, (0.5, 0.0), (0.5, 0.9), (0.56, 0.97), (0.66, 0.95), (0.69, 0.86)),
            arc("body", 0.0, 0.05, 1, 1.05, 180, 360),
            *(arc("dark", x, 0.5, x + 0.2, 0.6, 180, 360) for x in (0.0, 0.2, 0.4, 0.6, 0.8)),
        ),
        tilts=True,
    ),
    Kind(
        "mug",
        1.1,
        (
            oval("body", 0.5, 0.2, 1, 0.82),
            oval("dark", 0.62, 0.34, 0.88, 0.68),
            rect("body", 0.0, 0.08, 0.74, 0.94),
            oval("body", 0.0, 0.86, 0.74, 1.0),
            oval("shade", 0.0, 0.0, 0.74, 0.18),
        ),
    ),
    Kind(
        "teapot",
        1.4,
        (
            oval("shade", 0.0, 0.3, 0.34, 0.8),
            oval("dark", 0.06, 0.4, 0.28, 0.7),
            poly("body", (0.66, 0.62), (0.9, 0.26), (1, 0.26), (0.96, 0.4), (0.76, 0.86)),
            oval("body", 0.14, 0.22, 0.8, 1),
            oval("shade", 0.28, 0.16, 0.66, 0.34),
            oval("shade", 0.41, 0.02, 0.53, 0.2),
        ),
        faces=True,
    ),
)
