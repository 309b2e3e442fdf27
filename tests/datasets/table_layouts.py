"""Tables and arrays as people have them, in the frame of `layouts`: from Kaggle, Excel, pandas, R and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets.layouts import Layout, put

FILES = tuple(f"{number}.jpg" for number in range(6))
LABELS = ("cat", "dog") * 3
TWO = "2 classes: cat 3, dog 3"
THREE_SPLITS = "2 classes: cat 1/1/1, dog 1/1/1 (train/val/test)"


def lines(header: str, row: str, files: Sequence[str] = FILES, labels: Sequence[str] = LABELS) -> str:
    """A header, and a line for each file: `row` with its {number}, {file}, {stem} and {label}."""
    rows = (
        row.format(number=number, file=file, stem=file.rpartition(".")[0], label=label)
        for number, (file, label) in enumerate(zip(files, labels, strict=True))
    )
    return "\n".join([*([header] if header else []), *rows]) + "\n"


def table(
    text: str, *, folder: str = ".", files: Sequence[str] = FILES, name: str = "d.csv", encoding: str = "utf-8"
) -> Callable[[Path], Path]:
    """Draw a table, and files below a folder next to it."""

    def draw(root: Path) -> Path:
        for file in files:
            (root / folder / file).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / file).write_bytes(file.encode())
        (root / name).write_bytes(text.encode(encoding))
        return root / name

    return draw


def arrays(name: str = "d.npz", **content: Any) -> Callable[[Path], Path]:
    """Draw a file of arrays."""

    def draw(root: Path) -> Path:
        np.savez(root / name, **content)
        return root / name

    return draw


def pixels(header: str, size: int, label: bool = True) -> str:
    """A table with a row of `size` pixels for each image."""
    levels = np.random.default_rng(0).integers(0, 256, (6, size))
    rows = ([*([LABELS[number]] if label else []), *map(str, row)] for number, row in enumerate(levels))
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def in_two_folders(root: Path) -> Path:
    put(root, "train", "test", each=6)
    (root / "d.csv").write_text(lines("path,label", "{file},{label}"))
    return root / "d.csv"


def beside_images(root: Path) -> Path:
    put(root, ".", each=3)
    (root / "labels.csv").write_text("path,label\n0.jpg,cat\n")
    return root


PLAIN = lines("path,label", "{file},{label}")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
NUMBERS = np.arange(6) % 2
DIGITS = "2 classes: 0 3, 1 3"

TABLES = [
    Layout(name="a plain table", draw=table(PLAIN), line=TWO),
    Layout(
        name="ids without endings in a folder",
        draw=table(lines("id,breed", "{stem},{label}"), folder="train"),
        line=TWO,
        notes=("paths from the column 'id' and labels from the column 'breed'", "are found in"),
    ),
    Layout(
        name="columns of flow_from_dataframe",
        draw=table(lines("filename,class", "{file},{label}")),
        line=TWO,
        notes=("paths from the column 'filename' and labels from the column 'class'",),
    ),
    Layout(name="capitals", draw=table(lines("Path,Label", "{file},{label}")), line=TWO),
    Layout(name="blanks", draw=table(lines("path , label", "{file}, {label} ")), line=TWO),
    Layout(
        name="the index of pandas, and a column too many",
        draw=table(lines(",path,label,fold", "{number},{file},{label},{number}")),
        line=TWO,
        notes=("columns that are not used: fold",),
    ),
    Layout(name="row numbers of R", draw=table(lines('"path","label"', '"{number}","{file}","{label}"')), line=TWO),
    Layout(name="semicolons", draw=table(lines("path;label", "{file};{label}")), line=TWO),
    Layout(name="tabs", draw=table(lines("path\tlabel", "{file}\t{label}"), name="d.tsv"), line=TWO),
    Layout(name="a line for Excel", draw=table("sep=;\n" + lines("path;label", "{file};{label}")), line=TWO),
    Layout(
        name="Unicode text of Excel", draw=table(lines("path\tlabel", "{file}\t{label}"), encoding="utf-16"), line=TWO
    ),
    Layout(name="UTF-16 without a mark", draw=table(PLAIN, encoding="utf-16-be"), line=TWO),
    Layout(name="a byte order mark", draw=table(PLAIN, encoding="utf-8-sig"), line=TWO),
    Layout(name="empty last cells", draw=table(lines("path,label,,", "{file},{label},,")), line=TWO),
    Layout(
        name="a table of Windows",
        draw=table(lines("path,label", "{file},{label}", labels=("café", "thé") * 3), encoding="cp1252"),
        line="2 classes: café 3, thé 3",
        notes=("read as Windows-1252",),
    ),
    Layout(name="backslashes", draw=table(lines("path,label", "im\\{file},{label}"), folder="im"), line=TWO),
    Layout(
        name="absolute paths of another machine",
        draw=table(lines("path,label", "/home/me/set/im/{file},{label}"), folder="im"),
        line=TWO,
        notes=("are found in",),
    ),
    Layout(
        name="paths of Windows",
        draw=table(lines("path,label", "C:\\set\\im\\{file},{label}"), folder="im"),
        line=TWO,
        notes=("are found in",),
    ),
    Layout(
        name="files in two folders that fit",
        draw=in_two_folders,
        refused="6 of 6 files are missing, such as 0.jpg; 6 would exist below",
    ),
    Layout(name="the folder of the images is given", draw=in_two_folders, options={"image_folder": "train"}, line=TWO),
    Layout(name="all files missing", draw=table(PLAIN, files=()), refused="6 of 6 files are missing, such as 0.jpg"),
    Layout(
        name="a few files missing",
        draw=table(PLAIN, files=FILES[:4]),
        line="2 classes: cat 2, dog 2",
        notes=("2 of 6 files are missing, such as 4.jpg",),
    ),
    Layout(
        name="names in another case",
        draw=table(PLAIN, files=[file.upper() for file in FILES]),
        line=TWO,
        notes=("6 names of the table completed or found in another case: 0.jpg is",),
    ),
    Layout(
        name="an id that fits two files",
        draw=table("id,label\na,cat\nb,dog\n", files=("a.jpg", "a.png", "b.jpg")),
        refused="a may be a.jpg or a.png",
    ),
    Layout(
        name="splits and groups",
        draw=table(
            lines("path,label,split,group", "{file},{label},{number},g{number}")
            .replace(",0,", ",train,")
            .replace(",1,", ",Training,")
            .replace(",2,", ",valid,")
            .replace(",3,", ",val,")
            .replace(",4,", ",test,")
            .replace(",5,", ",Test_Set,")
        ),
        line=THREE_SPLITS,
    ),
    Layout(
        name="a column of 0 and 1 for each class",
        draw=table("image,cat,dog\n" + "".join(f"{n},{1 - n % 2},{n % 2}.0\n" for n in range(6))),
        line=TWO,
        notes=("labels from the columns cat, dog, of which one is 1", "completed"),
    ),
    Layout(
        name="one row for each box",
        draw=table(PLAIN + lines("", "{file},{label}")),
        line=TWO,
        notes=("6 rows of the table name an image once more",),
    ),
    Layout(
        name="one file under two names", draw=table(PLAIN + "./0.jpg,cat\n"), line=TWO, notes=("1 row of the table",)
    ),
    Layout(
        name="one file with two labels",
        draw=table(PLAIN + "./0.jpg,dog\n"),
        refused="is named more than once, with the label 'cat' and 'dog'",
    ),
    Layout(
        name="labels that are missing",
        draw=table(lines("path,label", "{file},{label}", labels=("cat", "dog", "nan", "dog", "", "cat"))),
        line="2 classes: cat 2, dog 2; without labels: 2",
        notes=("2 images of the table without a class: the label is 'nan', empty", "without a label"),
    ),
    Layout(
        name="labels that differ in case",
        draw=table(lines("path,label", "{file},{label}", labels=("cat", "Cat", "dog", "dog", "cat", "Cat"))),
        line="3 classes: Cat 2, cat 2, dog 2",
        notes=("'Cat' and 'cat' differ only in case",),
    ),
    Layout(
        name="numbers in two forms",
        draw=table(lines("path,label", "{file},{label}", labels=("1", "1.0", "2", "2", "1", "1.0"))),
        line="3 classes: 1 2, 1.0 2, 2 2",
        notes=("'1' and '1.0' differ only in case, blanks or the writing of a number",),
    ),
    Layout(
        name="labels in two Unicode forms",
        draw=table(lines("path,label", "{file},{label}", labels=("e\u0301", "\u00e9", "x", "x", "\u00e9", "x"))),
        line="2 classes: x 3, é 3",
    ),
    Layout(
        name="two columns that may be labels",
        draw=table(lines("path,category,breed", "{file},{label},b{number}")),
        refused="which column holds them, category, breed? name it with `label_column`",
    ),
    Layout(
        name="the column of labels is given",
        draw=table(lines("path,category,breed", "{file},{label},b{number}")),
        options={"label_column": "Category"},
        line=TWO,
        notes=("columns that are not used: breed",),
    ),
    Layout(
        name="a column that does not exist",
        draw=table(PLAIN),
        options={"label_column": "kind"},
        refused="has no such column, but path, label",
    ),
    Layout(name="no column of paths", draw=table("a,b\n1,2\n"), refused="no column of paths among a, b"),
    Layout(
        name="no header",
        draw=table(lines("", "{file},{label}")),
        line=TWO,
        notes=("the table has no header",),
    ),
    Layout(
        name="a list of lines",
        draw=table(lines("", "{file} {label}"), name="train.txt"),
        line=TWO,
        notes=("the table has no header",),
    ),
    Layout(
        name="a column of patients",
        draw=table(lines("path,label,patient_id", "{file},{label},{number}")),
        line=TWO,
        notes=("columns that are not used: patient_id", "call it `group` to keep those in one split"),
    ),
    Layout(
        name="labels in the names",
        draw=table(
            "path\n" + "".join(f"{label}.{n}.jpg\n" for n, label in enumerate(LABELS)),
            files=[f"{label}.{n}.jpg" for n, label in enumerate(LABELS)],
        ),
        options={"label_from": "{label}.#"},
        line=TWO,
    ),
    Layout(name="an Excel file", draw=table("PK", name="d.xlsx"), refused="save it as CSV"),
    Layout(name="a table in the folder", draw=beside_images, refused="labels.csv?"),
    Layout(name="images and labels", draw=arrays(X=IMAGES, y=NUMBERS), line=DIGITS),
    Layout(
        name="arrays of keras.datasets",
        draw=arrays(x_train=IMAGES, y_train=NUMBERS[:, None], x_test=IMAGES[:4], y_test=NUMBERS[:4]),
        line="2 classes: 0 3/2, 1 3/2 (train/test)",
    ),
    Layout(
        name="arrays of MedMNIST",
        draw=arrays(
            train_images=IMAGES[..., 0],
            train_labels=NUMBERS,
            val_images=IMAGES[:2, ..., 0],
            val_labels=NUMBERS[:2],
            test_images=IMAGES[2:4, ..., 0],
            test_labels=NUMBERS[2:4],
        ),
        line="2 classes: 0 3/1/1, 1 3/1/1 (train/val/test)",
    ),
    Layout(name="levels divided by 255", draw=arrays(X=IMAGES / np.float32(255), y=np.eye(2)[NUMBERS]), line=DIGITS),
    Layout(
        name="levels of another scale",
        draw=arrays(X=IMAGES / 127.5 - 1, y=NUMBERS),
        refused="may be of several scales; convert them to uint8 from 0 to 255",
    ),
    Layout(
        name="channels first", draw=arrays(X=np.moveaxis(IMAGES, 3, 1), y=NUMBERS), refused="channels first (3, 8, 8)"
    ),
    Layout(name="arrays of other names", draw=arrays(foo=IMAGES), refused="no images among the arrays foo"),
    Layout(
        name="a table of pixels",
        draw=table(pixels("label," + ",".join(f"pixel{n}" for n in range(16)), 16), files=()),
        line=TWO,
        notes=("each row of the table is taken for an image of 4x4 pixels",),
    ),
    Layout(
        name="pixels by row and column",
        draw=table(pixels("label," + ",".join(f"{y}x{x}" for y in range(4) for x in range(4)), 16), files=()),
        line=TWO,
        notes=("each row of the table is taken for an image of 4x4 pixels",),
    ),
    Layout(
        name="pixels by number",
        draw=table(pixels("label," + ",".join(map(str, range(16))), 16), files=()),
        line=TWO,
        notes=("each row of the table is taken for an image of 4x4 pixels",),
    ),
    Layout(
        name="pixels in one column",
        draw=table("emotion,pixels\n" + "".join(f"{n % 2},{' '.join(['200'] * 16)}\n" for n in range(6)), files=()),
        line=DIGITS,
        notes=("each row of the table is taken for an image of 4x4 pixels",),
    ),
    Layout(
        name="a column of 0 and 1 for each class, by number",
        draw=table(
            "image,"
            + ",".join(map(str, range(16)))
            + "\n"
            + "".join(f"{n}.jpg,{','.join('1' if n % 2 == c else '0' for c in range(16))}\n" for n in range(6))
        ),
        line=DIGITS,
        notes=("labels from the columns 0, 1, 2, 3 and 12 more, of which one is 1",),
    ),
    Layout(
        name="pixels beyond 255",
        draw=table("label," + ",".join(f"pixel{n}" for n in range(16)) + "\n1" + ",256" * 16 + "\n", files=()),
        refused="line 2: expected pixels that are whole numbers from 0 to 255",
    ),
    Layout(
        name="pixels that are not a square",
        draw=table(pixels("label," + ",".join(f"pixel{n}" for n in range(785)), 785), files=()),
        refused="785 pixels in a row are not a square image",
    ),
]
