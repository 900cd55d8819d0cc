"""Figures, tables and verdicts, from records alone: no torch, no model, no network, no account."""
