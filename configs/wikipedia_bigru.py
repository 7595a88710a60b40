"""The discrete twin of wikipedia_jump: a bidirectional GRU of equal size."""

from dataclasses import replace

from wikipedia_jump import experiments as jump
from wikitext2_bigru import experiments as twin

experiments = {name: replace(one, model=twin[name].model) for name, one in jump.items()}
