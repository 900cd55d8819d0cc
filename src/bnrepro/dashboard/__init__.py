"""Dashboards: the workspace and the report in W&B, as code, and live views of local runs in the terminal."""
