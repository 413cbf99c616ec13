"""How annotations are checked while tests run: an int is good where a float is wanted, as PEP 484 says."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
