"""Many runs of one kind of network in one program, for a GPU that one of them cannot fill."""
