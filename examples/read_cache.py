"""The cache read with h5py alone, without featstore: python examples/read_cache.py [CACHE]

docs/format.md describes the files. Compressed shards need `import hdf5plugin` as well.
"""

import hashlib
import json
import sys
from pathlib import Path

import h5py

cache = Path(sys.argv[1] if len(sys.argv) > 1 else "featstore-quickstart/cache")

for path in sorted(cache.glob("*/*/s-*.h5")):
    if path.stem != f"s-{hashlib.sha256(path.read_bytes()).hexdigest()}":  # before HDF5 sees a byte
        print(f"{path} is damaged")
        continue
    with h5py.File(path) as file:
        spec = json.loads(file.attrs["spec"])
        rows = dict(zip(map(bytes, file["ids"][()]), file["features"][()], strict=True))
    image, features = next(iter(rows.items()))  # an id is the SHA-256 of the image file and the number of the view
    print(f"{spec['model']}, {spec['layer']}: {len(rows)} rows of {features.shape}, such as {image[:32].hex()}")
