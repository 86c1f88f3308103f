"""What the videos mean: labels, prompts, lists of inputs."""
