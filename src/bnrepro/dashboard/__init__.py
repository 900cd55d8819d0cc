"""The dashboard in W&B, as code: a run of the figures and the ledger, the workspace and the report."""
