"""The file system of a path, from what Linux lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.system import mounts
from featstore.system.mounts import file_system, is_on_network

MOUNTS = r"""22 27 0:21 / / rw,relatime - ext4 /dev/vda rw
23 22 0:22 / /data rw,relatime shared:5 - xfs /dev/vdb rw
24 23 0:23 / /data/team\040share rw - nfs4 server:/export rw
25 22 0:24 / /database rw - tmpfs tmpfs rw
26 22 0:25 / /again rw - ext4 /dev/vdc rw
27 26 0:26 / /again rw - overlay overlay rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/data", "xfs"),
        ("/data/new/cache", "xfs"),
        ("/data/team share/cache", "nfs4"),
        ("/database/x", "tmpfs"),
        ("/again/x", "overlay"),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of two at one place the later one."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mountinfo")
    assert file_system(Path(path)) == kind


def test_nothing_is_known_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "missing")
    assert file_system(tmp_path) is None


def test_disks_of_other_machines_are_known_by_name() -> None:
    assert [kind for kind in ("ext4", "nfs4", "cifs", "fuse.sshfs", "overlay") if is_on_network(kind)] == [
        *("nfs4", "cifs", "fuse.sshfs")
    ]
