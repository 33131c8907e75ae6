"""A note in a simulated folder, so that its scores are never taken for a person's."""

import pathlib

from recon.core import results

FILE = 'SIMULATED.txt'
_TEXT = (
    'A program drew these recordings (launch/simulate.py or a smoke run). No person was scanned.\n'
)


def leave(root: pathlib.Path) -> None:
    """Writes the note into the folder `root`."""
    results.write_bytes(pathlib.Path(root) / FILE, _TEXT.encode())


def facts(root: pathlib.Path) -> dict:
    """{'simulated': True} for a folder with the note, else {}: part of a data set's facts."""
    return {'simulated': True} if (pathlib.Path(root) / FILE).exists() else {}
