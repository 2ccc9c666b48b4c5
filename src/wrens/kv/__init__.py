"""The key-value tier: small state with low latency, on one or more Redis or Valkey servers.

    connect     a KeyValue on servers that are there, or on one of its own on this computer
    KeyValue    get, put, add, compare and set, many at a time; travels to tasks
    placed      which server a key belongs to

State that has to last belongs in the store; what is here is as durable as the servers are.
"""

from wrens.kv.embedded import serve
from wrens.kv.keyvalue import KeyValue, connect
from wrens.kv.placing import placed

__all__ = ["KeyValue", "connect", "placed", "serve"]
