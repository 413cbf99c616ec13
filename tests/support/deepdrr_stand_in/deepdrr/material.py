from types import SimpleNamespace

NIST = {"soft tissue": {60.0: 0.2048, 80.0: 0.1823}, "bone": {60.0: 0.3148, 80.0: 0.2229}}


class Material:
    """cm²/g at keV."""

    def __init__(self, name):
        self.name = name

    @classmethod
    def from_string(cls, name, compound_string=False):
        return cls(name)

    def get_coefficients(self, energy_keV):
        return SimpleNamespace(mu_over_rho=NIST[self.name][energy_keV])
