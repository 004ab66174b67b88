"""Encodings: genotypes to weights, one file each."""

from collections.abc import Mapping

import torch

from hyperevo.abilities import TakesNeighbours
from hyperevo.components import ComponentSettings, component_of
from hyperevo.encodings._partly_direct import EncodingSettings, PartlyDirect, PartlyDirectMatrices, split_geometry
from hyperevo.encodings.direct import DirectEncoding, Start
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Encoding


def build_encoding(settings: ComponentSettings, geometry: Mapping[str, ParameterGeometry], device: torch.device,
                   start: Start = lambda generator: None) -> Encoding:
    """Encoding of these settings for a target's parameters; raises UserError where they do not fit.

    start: the target's own start of parameters that are searched as they are.
    """
    component = component_of("encoding", settings)
    direct = settings.direct if isinstance(settings, EncodingSettings) else ()
    encoded, plain = split_geometry(geometry, direct, component.generates)
    try:
        encoding = component.build(settings, encoded, device)
    except ValueError as error:
        raise UserError(str(error)) from error
    if not isinstance(encoding, Encoding):
        raise UserError(f"encoding.name: build of {settings.name} gives {type(encoding).__name__}, not a "
                        "hyperevo.Encoding")
    if isinstance(encoding, DirectEncoding):
        encoding.start = start
    if not plain:
        return encoding
    if not encoding.genes:
        raise UserError(f"encoding.direct: genotypes of {settings.name} are graphs and hold no direct parameters")
    kind = PartlyDirectMatrices if isinstance(encoding, TakesNeighbours) else PartlyDirect
    together = kind(encoding, plain, device)
    together.plain.start = start
    return together
