"""The ledger: every claim of the paper, judged by a rule that was written down before its records were made."""
