"""A connection to Ray: to a running cluster, or to a Ray of our own that is stopped afterwards."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from featstore.cluster.capacity import Node
from featstore.errors import ClusterUnavailable, param
from featstore.system.cores import cores_here
from featstore.system.imports import variables_set
from featstore.system.log_lines import log_lines_dropped

_STORE_BYTES = 256 * 2**20  # of Ray's object store here: names and digests of images go through it, no pixels, no rows
_ANSWER_SECONDS = 10.0
_LOG_LINE = re.compile(rb"\[\d{4}-\d\d-\d\d \S+ [IWE] .*\.(cc|h):\d+: ")


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Run a block with a connection to Ray, and end it afterwards, unless the program had one before.

    address: of a running cluster; None to start a Ray of our own, on this machine. It sends no telemetry and asks each
    connection for a token, which is drawn for this process and is in no file: Ray listens on all interfaces of the
    machine, whatever it is told.
    """
    import ray

    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if not ray.is_initialized():
            try:
                _connect(address)
            except Exception as error:  # of many kinds, with many lines
                with suppress(Exception):
                    ray.shutdown()
                raise ClusterUnavailable(_why_not(address, error)) from error
            stack.callback(ray.shutdown)
        yield


def list_nodes() -> list[Node]:
    """Return the nodes of the cluster that are alive and can run something."""
    import ray

    all_nodes: Any = ray.nodes
    found = (node for node in all_nodes() if node["Alive"])
    nodes = [
        Node(node["NodeID"], node["NodeName"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in found
    ]
    return [node for node in nodes if node.cpus]


def _connect(address: str | None) -> None:
    import ray
    from ray import _raylet
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    if address is not None:
        _look_for(address)
    raylet: Any = _raylet
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    # C++ code logs what a user can do nothing about, such as actors that might not start again.
    variables = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    if address is None and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        variables["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    with variables_set(**variables), log_lines_dropped(_LOG_LINE):
        raylet.AuthenticationTokenLoader.instance().reset_cache()  # of an earlier connection of this process
        if address is not None:
            maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # Ray does so for `auto` alone
            ray.init(address=address, **quiet)
        else:
            cores = len(cores_here())
            ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)


def _look_for(address: str) -> None:
    """Raise OSError if nothing answers at an address as host:6379: Ray would try for two minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()


def _why_not(address: str | None, error: Exception) -> str:
    """Return the line about a Ray that cannot be reached or started."""
    reason = str(error).strip().partition("\n")[0] or repr(error)
    if address is None:
        return f"{param('ray')}: Ray does not start here: {reason}"
    remedy = "look whether it runs there, and whether its token is here, in ~/.ray/auth_token or $RAY_AUTH_TOKEN"
    return f"{param('ray', address)}: Ray cannot be reached: {reason}; {remedy}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Set Ray Data for the jobs here, and keep what Ray prints off the screen: `--json` is alone on standard output."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.filterwarnings("ignore", module=r"ray\.")  # it warns of its own options
        from ray._private import auto_init_hook, worker
        from ray.data import DataContext

        context = DataContext.get_current()
        settings: list[tuple[Any, str, Any]] = [
            (context, "enable_progress_bars", False),
            (context, "max_errored_blocks", -1),  # blocks that got no answer are counted here
            (worker, "_worker_logs_enabled", False),
            (auto_init_hook, "enable_auto_connect", False),  # no Ray but ours: it would have telemetry and no token
        ]
        for owner, name, value in settings:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        for logger in map(logging.getLogger, ("ray", "ray.data")):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield
