"""Memory that a config would take, reckoned before it is taken."""

import psutil

from hyperevo.components import ComponentSettings
from hyperevo.errors import UserError
from hyperevo.parts import Encoding, Target

BYTES = 4
"""Bytes of a number, float32."""


def check_weights(settings: ComponentSettings, target: Target) -> None:
    """Raise UserError, with the number of gigabytes, where one network's weights do not fit into this machine."""
    _check(f"target {settings.name}: one network of {target.size:,} weights", target.size)


def check_genotypes(settings: ComponentSettings, encoding: Encoding) -> None:
    """Raise UserError, with the number of gigabytes, where a search's genotypes do not fit into this machine."""
    what = f"genotypes of {encoding.genes:,} genes" if encoding.genes else "graphs"
    _check(f"search {settings.name}: a population of {what}", settings.numbers_held(encoding.genes))


def _check(what: str, numbers: int) -> None:
    there = psutil.virtual_memory().total
    if BYTES * numbers > there:
        raise UserError(f"{what} takes {BYTES * numbers / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB")
