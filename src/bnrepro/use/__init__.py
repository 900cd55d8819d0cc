"""Trained networks in use: crops, ensembles, evaluation, prediction, export."""
