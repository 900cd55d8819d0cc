"""The results page: one self-contained static file, written from the committed records and tables."""
