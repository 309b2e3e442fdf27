"""From a folder of images to predictions: python examples/python_api.py [DATA], with DATA/<class>/*.png or the like.

Without DATA it takes the digits that `featstore quickstart` writes.
"""

import sys

import featstore

data = sys.argv[1] if len(sys.argv) > 1 else "featstore-quickstart/digits"

extraction = featstore.extract(data, model="tiny", preprocess=["keras", "raw"], progress=True)
for made in extraction.features:
    print(
        f"{made.recipe.preprocess}: {made.computed} of {made.rows} rows were computed now, the others were in the cache"
    )
X, y, ids = featstore.load_features(extraction.manifest, extraction.features[0].spec)
print(f"features {X.shape} {X.dtype}, {len(set(y))} classes")

print(featstore.compare(data, ["logistic", "bn-dropout"], model="tiny", preprocess=["keras", "raw"]))
run = featstore.train_head(data, "logistic", model="tiny")
tuned = featstore.fine_tune(run, data, epochs=3)
print(tuned)
prediction = featstore.predict(tuned.recommended, [picture.path for picture in extraction.manifest.pictures[:3]])
print(prediction)
prediction.save_sheet("answers.png")  # the images with their labels
