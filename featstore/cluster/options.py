"""Where an extraction runs on Ray, as a user says it."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import NamedTuple

from featstore.errors import BaseUnavailable, UsageError, param

LOCAL = "local"  # a Ray that is started for this job, on this machine alone
AddressLike = str | bool | None


class ClusterOptions(NamedTuple):
    """Where an extraction runs on Ray.

    address: of a running cluster, as Ray takes it; None for a Ray of our own. workers: how many, each with bases of its
    own; None for as many as there are GPUs, or else nodes. gpus: of each worker; None for one where there are any.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float | None = None


def parse_cluster(
    address: AddressLike, workers: int | None = None, num_gpus: float | None = None, devices: object = None
) -> ClusterOptions | None:
    """Return where to run on Ray; None if that was not asked for.

    Raises UsageError for options that make no sense, BaseUnavailable if Ray is not installed.
    """
    if address is None or address is False:
        alone = {"workers": workers, "num_gpus": num_gpus}
        if (name := next((name for name, value in alone.items() if value is not None), None)) is not None:
            raise UsageError(f"{param(name, alone[name])}: is for {param('ray')} alone; leave it out, or add that")
        return None
    if devices is not None:
        raise UsageError(f"{param('devices')} and {param('ray')} do not go together: leave one of them out")
    if workers is not None and workers < 1:
        raise UsageError(f"{param('workers', workers)}: expected a whole number of at least 1")
    if num_gpus is not None and (not 0 <= num_gpus < math.inf or (num_gpus > 1 and num_gpus % 1)):
        raise UsageError(f"{param('num_gpus', num_gpus)}: expected a share of a GPU, as 0.5, or a whole number of them")
    text = LOCAL if address is True else address.strip() or LOCAL
    if "://" in text:
        raise UsageError(
            f"{param('ray', text)}: expected an address as host:6379, or auto; run the command on a machine of the "
            "cluster, since Ray's client is not used here"
        )
    if find_spec("ray") is None:
        raise BaseUnavailable(f"{param('ray')}: Ray is not installed: pip install 'featstore-keras[ray]'")
    return ClusterOptions(None if text == LOCAL else text, workers, num_gpus)
