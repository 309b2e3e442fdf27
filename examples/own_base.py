"""Features of a network of your own: python examples/own_base.py [DATA]

Any `.keras` file that takes images will do. The one made here stands for one that you have trained.
"""

import sys

import keras

import featstore

data = sys.argv[1] if len(sys.argv) > 1 else "featstore-quickstart/digits"

keras.utils.set_random_seed(0)
network = keras.Sequential([keras.Input((32, 32, 3))])
for filters in (16, 32):
    network.add(keras.layers.Conv2D(filters, 3, strides=2, activation="relu"))
network.save("own.keras")

# A file does not say how its network was trained, so the preprocessing has to be named: here pixels from 0 to 1.
run = featstore.train_head(data, "logistic", model="own.keras", preprocess="rescale")
print(run)
