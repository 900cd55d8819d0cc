"""Many runs with one command: how they are planned, launched, shown and resumed."""
