"""What is built on a map: partitions of large data, and the programs that run over them."""
