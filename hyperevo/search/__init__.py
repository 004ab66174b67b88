"""Searches: ask for genotypes, tell their fitness, one file each."""
