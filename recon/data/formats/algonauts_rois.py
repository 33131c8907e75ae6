"""Areas of the Algonauts 2023 masks: the classes' label tables, and sets of areas by name."""

import pickle

import numpy as np

from recon.core import errors
from recon.data.formats import files

# Label k of a class is the k-th name; 0 is none of them.
CLASSES = {
    'prf-visualrois': ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4'),
    'floc-bodies': ('EBA', 'FBA-1', 'FBA-2', 'mTL-bodies'),
    'floc-faces': ('OFA', 'FFA-1', 'FFA-2', 'mTL-faces', 'aTL-faces'),
    'floc-places': ('OPA', 'PPA', 'RSC'),
    'floc-words': ('OWFA', 'VWFA-1', 'VWFA-2', 'mfs-words', 'mTL-words'),
    'streams': (
        'early', 'midventral', 'midlateral', 'midparietal', 'ventral', 'lateral', 'parietal',
    ),
}  # fmt: skip
UNIONS = {
    'V1': ('V1v', 'V1d'),
    'V2': ('V2v', 'V2d'),
    'V3': ('V3v', 'V3d'),
    'FFA': ('FFA-1', 'FFA-2'),
    'FBA': ('FBA-1', 'FBA-2'),
    'VWFA': ('VWFA-1', 'VWFA-2'),
    'early_visual': CLASSES['prf-visualrois'],
    # The three sets of a bag of decoders: one low, one of what is seen, one of everything.
    'set1': (*CLASSES['prf-visualrois'], 'FFA-1', 'FFA-2', 'PPA'),
    'set2': (
        *CLASSES['floc-bodies'],
        *CLASSES['floc-faces'],
        *CLASSES['floc-places'],
    ),
    'set3': CLASSES['streams'],
}
RSC = 'rsc'  # vertices that only the hand-drawn retrosplenial mask brought in
_ALLOWED = {
    (f'numpy.{core}.multiarray', name)
    for core in ('core', '_core')
    for name in ('_reconstruct', 'scalar')
} | {('numpy', 'ndarray'), ('numpy', 'dtype')}


def rois(labels: dict, tables: dict, where) -> dict[str, np.ndarray]:
    """Boolean areas of label arrays.

    Every name of every class (an area that the subject lacks is empty), `UNIONS` of which all
    members' classes are there, and 'rsc' where 'streams' is: its vertices of label 0. Labels are
    compared one by one; -1 (not cortex, as NSD's volumes have it) is no area.

    Args:
      labels: {class: [v] int}.
      tables: {class: {label: name}}, 0 left out.
      where: for messages.

    Raises:
      DataInvalid: a label that its class' table does not have.
    """
    found = {}
    for name, values in labels.items():
        known = tables[name]
        strange = sorted(set(np.unique(values).tolist()) - {-1, 0} - set(known))
        if strange:
            raise errors.DataInvalid(
                f'{name} has label {strange[0]}, its table has {min(known)} to {max(known)}',
                where,
                'dataset.pickles=true reads the table from mapping_*.npy, if you trust the files',
            )
        for label, area in known.items():
            found[area] = found.get(area, False) | (values == label)
    for name, members in UNIONS.items():
        if all(member in found for member in members):
            found[name] = np.any([found[member] for member in members], axis=0)
    if 'streams' in labels:
        found[RSC] = labels['streams'] == 0
    return found


def definitions(found) -> dict[str, str]:
    """What the areas that are made of others are, in words; of those in `found`."""
    said = {name: ' + '.join(members) for name, members in UNIONS.items()}
    said[RSC] = 'streams == 0: inside the challenge vertices, but in no stream'
    return {name: text for name, text in said.items() if name in found}


def table(name: str) -> dict[int, str]:
    """The built-in table of a class: {label: area}."""
    return dict(enumerate(CLASSES[name], start=1))


def mapping(path) -> dict[int, str]:
    """The table of a mapping_<class>.npy, a pickled dictionary; label 0 is left out.

    Unpickles numbers, text and plain containers alone: anything that would call a function is
    refused.

    Raises:
      DataMissing: not there.  DataInvalid: something else than {whole number: text}.
    """
    path = files.exists(path)
    broken = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, MemoryError)
    broken += (ImportError, OverflowError, pickle.UnpicklingError)
    with files.said(path, 'not a table of labels', broken), open(path, 'rb') as file:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(file)
        if shape != () or not dtype.hasobject:
            raise ValueError(f'an array of shape {shape} and type {dtype}')
        held = _Plain(file).load()
        held = held.item() if isinstance(held, np.ndarray) else held
        if not isinstance(held, dict) or not held:
            raise ValueError(f'it holds a {type(held).__name__}')
        table = {int(label): str(area) for label, area in held.items()}
    return {label: area for label, area in table.items() if label > 0}


class _Plain(pickle.Unpickler):
    """Unpickles arrays and built-in containers, and refuses every other name."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it wants to call {module}.{name}')
        return super().find_class(module, name)
