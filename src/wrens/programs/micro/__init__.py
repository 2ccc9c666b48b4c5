"""Micro-benchmarks of a backend and a store, that ``wrens bench`` runs: one task for each worker, and what each of them measured.

Decides what the tasks do and what a measurement is. Does not decide how it is shown: that is :mod:`wrens.cli.micro`.
"""
