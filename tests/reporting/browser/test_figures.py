"""The figures on the page are those of `--json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from featstore.system.figures import figure
from helpers.browser import Visit
from helpers.report_content import Made

Open = Callable[..., Visit]
NAME = "non-latin"


def test_the_page_carries_what_json_prints(visit: Open, made: dict[str, Made], tmp_path: Path) -> None:
    """Saved from the page it is the same file."""
    page = visit(NAME).page
    expected = json.loads(json.dumps(made[NAME].content.describe()))
    with page.expect_download() as download:
        page.click("#save-figures")
    download.value.save_as(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == expected


def test_the_figures_that_are_seen_are_those(visit: Open, made: dict[str, Made]) -> None:
    """Accuracy, the matrix, the runs side by side, the findings of the audit and the counts of the classes."""
    seen, said = visit(NAME), made[NAME].content.describe()
    metrics = said["runs"][0]["metrics"]["test"]
    assert figure(metrics["accuracy"]) in seen.text(".facts")
    rows = seen.page.locator("#runs tbody tr").all_inner_texts()
    for split, of_split in said["runs"][0]["metrics"].items():
        [row] = [
            row.split("\t") for row in rows if row.split("\t")[0] == split and str(of_split["n"]) in row.split("\t")
        ]
        assert figure(of_split["accuracy"]) in row
        assert figure(of_split["log_loss"], limits=(0.0,)) in row
    cells = [int(text) for text in seen.texts("#matrix tbody td")]
    assert cells == [n for row in metrics["confusion"] for n in row]
    for check in said["audit"]["checks"]:
        assert check["verdict"] in seen.text(f"#check-{check['name']}")
    for row in said["comparison"]["rows"]:
        assert any(figure(row["accuracy"]) in text and Path(row["run"]).name in text for text in rows)
    for row, label in zip(seen.page.locator("#data tbody tr").all_inner_texts(), said["data"]["classes"], strict=False):
        assert row.split("\t")[0] == label
