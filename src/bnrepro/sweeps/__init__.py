"""Many runs with one command: what they are, where they run, what is shown of them, and how they go on."""
