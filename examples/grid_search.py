"""scikit-learn's GridSearchCV over cached features: python examples/grid_search.py [DATA]

The base runs once for each preprocessing; all other fits of the search read the cache.
"""

import sys

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import featstore

data = sys.argv[1] if len(sys.argv) > 1 else "featstore-quickstart/digits"
pictures = featstore.scan(data).pictures
paths, labels = [picture.path for picture in pictures], [picture.label for picture in pictures]

pipeline = make_pipeline(featstore.Bottleneck(model="tiny"), StandardScaler(), LogisticRegression(max_iter=1000))
grid = {"bottleneck__preprocess": ["keras", "raw"], "logisticregression__C": [0.001, 0.01, 0.1]}
search = GridSearchCV(pipeline, grid, cv=3).fit(paths, labels)
print(f"accuracy {search.best_score_:.3f} with {search.best_params_}")
