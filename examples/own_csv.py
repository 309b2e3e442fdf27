"""Labels and splits from a CSV of your own: python examples/own_csv.py

It writes 300 handwritten digits to own_csv/, and a CSV in which digits that were written down together are one group.
"""

import csv
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

import featstore

folder = Path("own_csv")
folder.mkdir(exist_ok=True)
digits = load_digits()
with open(folder / "labels.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["path", "label", "group"])  # a column "split" may say train, val or test
    for number, (image, label) in enumerate(zip(digits.images[:300], digits.target[:300], strict=True)):
        Image.fromarray((image * 15).astype("uint8")).save(folder / f"{number}.png")
        table.writerow([f"{number}.png", "even" if label % 2 == 0 else "odd", number // 10])

run = featstore.train_head(folder / "labels.csv", model="tiny")  # a group is never divided between splits
print(run)
