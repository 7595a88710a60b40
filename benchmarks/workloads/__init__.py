"""The workloads that `solvers.py` measures: W1 mlp, W2 gru, W3 latent, W4 flow, W5 image."""
