"""The kinds of objects that a scene is made of, by the name that captions use."""

from glitbuild.errors import ConfigError
from glitbuild.stages.scenes.kinds.animals import ANIMALS
from glitbuild.stages.scenes.kinds.household import FURNITURE, TOOLS
from glitbuild.stages.scenes.kinds.nature import FRUIT, PLANTS
from glitbuild.stages.scenes.kinds.outdoors import BUILDINGS, TOYS
from glitbuild.stages.scenes.kinds.vehicles import VEHICLES
from glitbuild.stages.scenes.shapes import Kind

ALL = (*VEHICLES, *ANIMALS, *FURNITURE, *TOOLS, *FRUIT, *PLANTS, *BUILDINGS, *TOYS)
KINDS = {kind.name: kind for kind in ALL}
"""All kinds by name, in a fixed order."""


def parse_kinds(names: str) -> tuple[Kind, ...]:
    """Return the kinds of a list such as ``car,fir tree``; none where it is empty.

    Raises:
        ConfigError: a kind is unknown or given twice.
    """
    found = [name.strip() for name in names.split(",")] if names else []
    for name in found:
        if name not in KINDS:
            raise ConfigError(f"--kinds {name}", "unknown kind", "known are " + ", ".join(KINDS))
        if found.count(name) > 1:
            raise ConfigError(f"--kinds {name}", "given twice", "name each kind once")
    return tuple(KINDS[name] for name in found)
