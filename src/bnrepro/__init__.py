"""A laboratory for one paper: Ioffe & Szegedy 2015, Batch Normalization (arXiv:1502.03167v3)."""
