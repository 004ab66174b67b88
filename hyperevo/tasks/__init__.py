"""Tasks: fitness and loss on data or an environment, one file each."""
