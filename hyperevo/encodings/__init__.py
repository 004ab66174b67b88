"""Encodings: genotypes to weights, one file each."""

from typing import Any

import torch

from hyperevo.components import load_component
from hyperevo.encodings._partly_direct import EncodingSettings, PartlyDirect, split_geometry
from hyperevo.encodings.direct import DirectEncoding, Start
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry


def build_encoding(settings: Any, geometry: dict[str, ParameterGeometry], device: torch.device,
                   start: Start | None = None) -> Any:
    """The encoding that `settings` describe, for a target's parameters; raises UserError where they do not fit.

    start: how the target wants parameters to start that are searched as they are.
    """
    module = load_component("encoding", settings.name)
    direct = settings.direct if isinstance(settings, EncodingSettings) else ()
    encoded, plain = split_geometry(geometry, direct, getattr(module, "generates", lambda parameter: True))
    try:
        encoding = module.build(settings, encoded, device)
    except ValueError as error:
        raise UserError(str(error)) from error
    if isinstance(encoding, DirectEncoding):
        encoding.start = start
    if not plain:
        return encoding
    if not hasattr(encoding, "genes"):
        raise UserError(f"encoding.direct: genotypes of {settings.name} are graphs and hold no direct parameters")
    together = PartlyDirect(encoding, plain, device)
    together.plain.start = start
    return together
