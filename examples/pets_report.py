"""Draw cats and dogs, put in what goes wrong in real data, and write a report that should tell all of it.

    python examples/pets_report.py             # in this folder: pets/, and report.html about them; offline, a minute
    python examples/pets_report.py --train 200

That is `featstore report pets --model tiny`. The page in the documents was made like this.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from pets import write_pets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--train", type=int, default=60, help="drawings of each class to train on; default: %(default)s"
    )
    args = parser.parse_args()
    write_pets(Path("pets"), args.train)
    subprocess.run([sys.executable, "-m", "featstore", "report", "pets", "--model", "tiny"], check=True)


if __name__ == "__main__":
    main()
