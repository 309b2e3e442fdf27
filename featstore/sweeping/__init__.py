"""The sweep: many heads with many parameters, scored by cross-validation without the test split."""
