"""`featstore models`"""

from __future__ import annotations

from featstore.cli import options
from featstore.cli.console import print_json, print_table


def command(json: options.Json = False, quiet: options.QuietNames = False) -> None:
    """List the bases: input size, feature width, preprocessing, parameters with the top, published ImageNet accuracy.

    Example: featstore models
    """
    from dataclasses import asdict

    from featstore.bases.catalog import BASES, BUILT_IN
    from featstore.system.figures import figure

    if json:
        print_json({"models": [asdict(info) for info in (*BUILT_IN.values(), *BASES.values())]})
        return
    if quiet:
        print("\n".join([*BUILT_IN, *BASES]))
        return
    rows = [
        (
            info.name,
            str(info.input_size),
            str(info.width),
            info.preprocessing,
            str(info.min_size),
            f"{figure(info.parameters / 1e6, 1)}M",
            "-" if info.top1 is None else f"{info.top1:.1f}",
            "-" if info.top5 is None else f"{info.top5:.1f}",
        )
        for info in (*BUILT_IN.values(), *BASES.values())
    ]
    print_table(("model", "input", "width", "keras =", "min", "parameters", "top-1", "top-5"), rows)
