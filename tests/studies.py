"""Experiments on records that tests make up."""

from adamprox.sweep import Record
from experiments.protocol import Records
from experiments.registry import EXPERIMENTS


def study(name, protocol, records=()):
    """An experiment on some records, given as dictionaries."""
    return EXPERIMENTS[name].study(protocol, Records.by_key(map(Record, records)))


def claims(name, protocol, records):
    return study(name, protocol, records).claims()


def figures(name, protocol, records):
    return study(name, protocol, records).figures()


def runs(name, protocol, records=()):
    return list(study(name, protocol, records).runs)
