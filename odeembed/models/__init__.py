"""Models: linen modules made of encoders, vector fields and decoders; none computes a loss."""
