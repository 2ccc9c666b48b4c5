"""Large data in parts: where they may be cut, and how workers read them."""
