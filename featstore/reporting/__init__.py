"""The report: one page, in one file, with all that is known of a data set and its runs."""
