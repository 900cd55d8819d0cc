"""The claims that are exact: small deterministic programs that give numbers, and judge none of them."""
