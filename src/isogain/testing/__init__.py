"""The contracts of regularisers, initialisers and networks, as functions and for pytest; they need torch alone."""

from typing import TYPE_CHECKING

from isogain.lazy import lazy_names

if TYPE_CHECKING:
    from isogain.testing.contract import Clause as Clause
    from isogain.testing.contract_of_initialisers import check_initialiser as check_initialiser
    from isogain.testing.contract_of_initialisers import (
        initialiser_contract as initialiser_contract,
    )
    from isogain.testing.contract_of_networks import check_network as check_network
    from isogain.testing.contract_of_networks import network_contract as network_contract
    from isogain.testing.contract_of_regularizers import check_regularizer as check_regularizer
    from isogain.testing.contract_of_regularizers import (
        regularizer_contract as regularizer_contract,
    )

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "contract": ["Clause"],
        "contract_of_initialisers": ["check_initialiser", "initialiser_contract"],
        "contract_of_networks": ["check_network", "network_contract"],
        "contract_of_regularizers": ["check_regularizer", "regularizer_contract"],
    },
)
