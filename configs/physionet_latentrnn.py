"""physionet_latent with an RNN as encoder, of as many parameters, that is told the distances between its times."""

from physionet_latent import decoder, rnn, through

experiments = through(rnn(55), decoder)
