"""The training loop: state, step, optimizer, devices, checkpoints; the only room that imports orbax."""
