"""Which kind of file system a path is on, by its name, as Linux lists what is mounted."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "lustre", "glusterfs", "beegfs", "gpfs", "afs"}
_ESCAPED = re.compile(r"\\([0-7]{3})")  # a space is written \040


def file_system(path: Path) -> str | None:
    """Return the name of the file system of `path`, as `ext4`; None where the system does not say.

    `path` need not exist: it then is what it would be made on.
    """
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    longest, kind = "", None
    for line in lines:
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:
            continue
        mount = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[4])
        is_above = place == mount or place.startswith(mount.rstrip("/") + "/")
        if is_above and len(mount) >= len(longest):  # of two at one place the later one counts
            longest, kind = mount, after.split()[0]
    return kind


def is_on_network(kind: str) -> bool:
    """Tell whether a file system of this name may be on another machine; one of a program (FUSE) mostly is."""
    return kind in _NETWORK or kind.startswith("fuse.")
