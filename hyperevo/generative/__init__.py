"""Distributions over the weights of networks: files of many networks, and models that are trained on them."""
