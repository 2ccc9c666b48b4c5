"""A parameter server: named arrays on the key-value tier that many workers read and add to while they learn.

    create, restore, drop        a ParameterServer, new or from a checkpoint; its end
    Dense, Sparse                what an array is
    Asynchronous, Bounded, Synchronous      what workers wait for
    Worker                       what a program of a worker is given

The additions are carried out on the servers, so that workers never write what another one has changed since they have read it (Li et
al., *Scaling Distributed Machine Learning with the Parameter Server*, OSDI 2014; HOGWILD!, Niu et al., 2011). Arrays are in memory:
they are gone with their server, which ends in an error, and checkpoints are in the store.
"""

from wrens.models.parameter_server.arrays import Dense, Sparse
from wrens.models.parameter_server.policies import Asynchronous, Bounded, Synchronous
from wrens.models.parameter_server.server import ParameterServer, create, drop, restore
from wrens.models.parameter_server.statistics import Statistics
from wrens.models.parameter_server.worker import Worker

__all__ = [
    "Asynchronous",
    "Bounded",
    "Dense",
    "ParameterServer",
    "Sparse",
    "Statistics",
    "Synchronous",
    "Worker",
    "create",
    "drop",
    "restore",
]
