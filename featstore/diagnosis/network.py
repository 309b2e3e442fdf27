"""Whether there is a network. Nothing is sent, unless the user asks for it."""

from __future__ import annotations

import threading
from pathlib import Path

from featstore.diagnosis.topic import Problem, Topic

HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"  # from which Keras downloads ImageNet weights
_SECONDS = 3.0
_ROUTES = Path("/proc/net/route")
_ROUTES_6 = Path("/proc/net/ipv6_route")


def look_at_network(ask: bool) -> Topic:
    """Return whether there is a way out of this machine; with `ask` also whether Keras' weights can be reached."""
    route = has_route()
    text = {True: "there is a way out", False: "there is no way out", None: "unknown"}[route]
    reached = reason = None
    problems = []
    if ask:
        reason = _try_host()
        reached = reason is None
        text += f"; {HOST} {'was reached' if reached else f'was not reached ({reason})'}"
        if not reached:
            what = f"ImageNet weights cannot be downloaded: {HOST} was not reached ({reason})"
            remedy = "set https_proxy if there is a proxy, or copy files of weights into Keras' folder of models"
            problems.append(Problem(f"{what}: {remedy}"))
    else:
        text += "; nothing was sent (--network tries the host of Keras' weights)"
    return Topic("network", text, {"route": route, "tried": HOST if ask else None, "reached": reached}, problems)


def has_route() -> bool | None:
    """Tell whether the system knows a way to other networks, which sends nothing; None where it does not say."""
    try:
        lines = [line.split() for line in _ROUTES.read_text().splitlines()[1:]]
        lines_6 = [line.split() for line in _ROUTES_6.read_text().splitlines()] if _ROUTES_6.exists() else []
    except OSError:
        return None
    by_4 = any(words[:1] != ["lo"] and words[1:2] == ["0" * 8] for words in lines)
    by_6 = any(words[-1:] != ["lo"] and words[:2] == ["0" * 32, "00"] for words in lines_6)
    return by_4 or by_6


def _try_host() -> str | None:
    """Return why the host does not answer, None if it does. A proxy is used as Keras uses it.

    On a thread of its own, since looking up a name has no time-out.
    """
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_ask_host()), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return answers[0] if answers else "no answer"


def _ask_host() -> str | None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(HOST, method="HEAD"), timeout=_SECONDS):
            return None
    except HTTPError:  # it answers; there is nothing at this address itself
        return None
    except HTTPException as error:  # whose text may hold what a variable says of a proxy
        return type(error).__name__
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
