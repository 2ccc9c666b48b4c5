"""The only package that pickles: values, functions with their modules, failures and references.

    values      many values into one object, a pack
    reading     values out of a pack, one by one and without copying arrays
    functions   driver: a function as a content-addressed object, and the bundle of modules it needs
    loading     worker: the function back again, with its modules importable
    failures    an exception as a record, and the record as an exception again
    references  what stands for a result or a shared value while it travels

Decides how Python objects become bytes and where the code for them comes from. Does not decide where the
bytes are kept, and does no I/O but reading the user's source files and unpacking them in a worker.
cloudpickle is imported when something needs it; numpy never is.
"""

from wrens.serialize.failures import describe_failure, rebuild_failure
from wrens.serialize.functions import Shipment, Shipper
from wrens.serialize.loading import Loader
from wrens.serialize.reading import Pack, open_pack
from wrens.serialize.references import load_reference, resolving, set_resolver
from wrens.serialize.scratch import tidy
from wrens.serialize.values import Packed, pack

__all__ = [
    "Loader",
    "Pack",
    "Packed",
    "Shipment",
    "Shipper",
    "describe_failure",
    "load_reference",
    "open_pack",
    "pack",
    "rebuild_failure",
    "resolving",
    "set_resolver",
    "tidy",
]
