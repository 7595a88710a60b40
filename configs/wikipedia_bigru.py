"""The discrete twin of wikipedia_jump: a bidirectional GRU of equal size."""

from dataclasses import replace

from wikipedia_jump import experiments as jump
from wikitext2_bigru import gru

experiments = {
    "small": replace(jump["small"], model=gru(163)),
    "full": replace(jump["full"], model=gru(341)),
}
