"""Every exception that wrens raises, sorted by what the reader of it does next.

    WrensError
    ├── fix the call
    │   ├── BadOption (ValueError)            an option that does not exist or cannot be
    │   ├── UnknownBackend (ValueError)       no backend has this name
    │   ├── UnknownJob (LookupError)          the store holds no such job
    │   ├── CannotShip (TypeError)            a function, input, result or exception that cannot travel
    │   └── Cancelled (CancelledError)        the task was cancelled before it had a result
    ├── fix the data
    │   ├── NoData (FileNotFoundError)        an address of data names nothing that is there
    │   ├── BadData (ValueError)              a piece of it is not what it was said to be
    │   ├── BadMessage (ValueError)           what a partition sends, tells or was sent cannot be
    │   ├── BadPair (TypeError)               what a function made of it cannot be grouped by key
    │   ├── BadValue (ValueError)             a value of the key-value tier is not what an operation needs
    │   ├── BadUpdate (ValueError)            what an array of a parameter server was sent does not go with it
    │   ├── TargetTaken (FileExistsError)     where results should go there is something already
    │   └── ExchangeLost                      what one stage wrote for the next is gone
    ├── fix the set-up
    │   ├── StoreError (OSError)
    │   │   ├── BadStoreURL (ValueError)      the URL names no store
    │   │   ├── ObjectMissing (FileNotFoundError)
    │   │   ├── AlreadyExists (FileExistsError)   put-if-absent found another object
    │   │   ├── UncertainWrite                it may have been written, and reading back did not tell
    │   │   ├── StoreDenied (PermissionError)
    │   │   ├── NoPutIfAbsent                 the service cannot be a driver's store
    │   │   ├── ObjectTooLarge                more than the service takes as one object
    │   │   ├── StoreFull                     no space left
    │   │   └── StoreUnavailable (ConnectionError)    worth another try
    │   ├── VersionMismatch                   made with another Python or wrens than there is here
    │   ├── BadShard                          a Redis server cannot be used
    │   ├── ShardLost (ConnectionError)       one does not answer, or has lost what it held
    │   ├── ShardFull                         one has no memory left
    │   ├── BackendError                      the platform of a backend cannot be used as it is set up
    │   ├── CannotStart (BrokenExecutor)      worker processes end before they are ready
    │   ├── InitializerFailed (BrokenExecutor)
    │   ├── MissingPackage (ImportError)      one that only some of wrens needs
    │   ├── ServiceError                      a cloud service refused a request
    │   ├── NotOurs                           something of this name was not made by wrens
    │   ├── CannotDeploy                      what workers need cannot be built or put in place
    │   └── BadEnvironment                    the packages that a function needs cannot be given to workers
    │       ├── MissingModule (ImportError)   imported, and not installed here
    │       ├── WrongPython                   the workers have another minor version
    │       ├── CannotResolve                 no set of versions does, or they cannot be had
    │       │   └── NoWheel                   a package that cannot be had for the workers' platform
    │       └── EnvironmentTooLarge           for the workers' disk
    ├── look who writes to the store
    │   ├── BadSignature                      an object that nobody with the signing key has written so
    │   ├── BadSigningKey                     the key is missing, malformed, or no secret
    │   └── ForeignRecord                     a record of another job of the same name
    ├── a task that ended without a result
    │   ├── WorkerLost                        the worker went away in every attempt
    │   ├── TaskTimeout (TimeoutError)
    │   ├── WorkersStalled (TimeoutError)     others, for whom a worker has waited, did not go on
    │   └── RemoteError                       stands for an exception that cannot be rebuilt here
    ├── a job that ended without all results
    │   ├── JobFailed (ExceptionGroup)        carries the results of the others
    │   └── JobIncomplete                     the client died before it had stored every input
    └── DamagedObject                         a stored record that does not decode

A user's own exception is none of these: it comes back as itself, with notes.

Facts are kept in ``args`` and the sentence is built by ``__str__``, so every class pickles. Decides no
policy; imports nothing of wrens.
"""

from __future__ import annotations

from wrens.errors.base import WrensError
from wrens.errors.call import BadOption, Cancelled, CannotShip, UnknownBackend, UnknownJob
from wrens.errors.data import BadData, BadMessage, BadPair, ExchangeLost, NoData, TargetTaken
from wrens.errors.kv import BadUpdate, BadValue, ShardFull, ShardLost, WorkersStalled
from wrens.errors.outcome import JobFailed, JobIncomplete, RemoteError, TaskTimeout, WorkerLost
from wrens.errors.setup import (
    BackendError,
    BadEnvironment,
    BadShard,
    CannotDeploy,
    CannotResolve,
    CannotStart,
    EnvironmentTooLarge,
    InitializerFailed,
    MissingModule,
    MissingPackage,
    NotOurs,
    NoWheel,
    ServiceError,
    VersionMismatch,
    WrongPython,
)
from wrens.errors.store import (
    AlreadyExists,
    BadStoreURL,
    DamagedObject,
    NoPutIfAbsent,
    ObjectMissing,
    ObjectTooLarge,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UncertainWrite,
)
from wrens.errors.trust import BadSignature, BadSigningKey, ForeignRecord

__all__ = [
    "AlreadyExists",
    "BackendError",
    "BadData",
    "BadEnvironment",
    "BadMessage",
    "BadOption",
    "BadPair",
    "BadShard",
    "BadSignature",
    "BadSigningKey",
    "BadStoreURL",
    "BadUpdate",
    "BadValue",
    "Cancelled",
    "CannotDeploy",
    "CannotResolve",
    "CannotShip",
    "CannotStart",
    "DamagedObject",
    "EnvironmentTooLarge",
    "ExchangeLost",
    "ForeignRecord",
    "InitializerFailed",
    "JobFailed",
    "JobIncomplete",
    "MissingModule",
    "MissingPackage",
    "NoData",
    "NoPutIfAbsent",
    "NoWheel",
    "NotOurs",
    "ObjectMissing",
    "ObjectTooLarge",
    "RemoteError",
    "ServiceError",
    "ShardFull",
    "ShardLost",
    "StoreDenied",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TargetTaken",
    "TaskTimeout",
    "UncertainWrite",
    "UnknownBackend",
    "UnknownJob",
    "VersionMismatch",
    "WorkerLost",
    "WorkersStalled",
    "WrensError",
    "WrongPython",
]

for _name in __all__:
    # Where they are imported from, and what a traceback shows; the modules below are only how they are sorted.
    globals()[_name].__module__ = __name__
