import pathlib

import ml_collections

from recon.data import mark
from recon.data.datasets import digits69, miyawaki2008
from recon.data.layouts import digits69 as digits_layout
from recon.data.layouts import miyawaki2008 as miyawaki_layout


def test_simulated_files_are_known_for_what_they_are_wherever_they_were_moved(tmp_path):
    for reader, layout in ((digits69, digits_layout), (miyawaki2008, miyawaki_layout)):
        root = layout.write(tmp_path / 'made', scale='toy', seed=1)
        moved = pathlib.Path(root).rename(tmp_path / f'moved_{reader.__name__}')
        cfg = ml_collections.ConfigDict({'path': str(moved)})
        assert reader.load(cfg).facts['simulated'] is True
        (moved / mark.FILE).unlink()
        assert 'simulated' not in reader.load(cfg).facts
