import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from recon.core import errors
from recon.data.formats import files, mat_elements

EXAMPLES = pathlib.Path(scipy.io.matlab.__file__).parent / 'tests' / 'data'
BROKEN = {'bad_miuint32', 'corrupted_zlib_checksum', 'corrupted_zlib_data', 'malformed1'}
FUZZ = """
import sys
import numpy as np
from recon.core import errors
from recon.data.formats import files
path, rng, refused = sys.argv[1], np.random.default_rng(int(sys.argv[2])), 0
whole = open(path, 'rb').read()
for turn in range(500):
    content = bytearray(whole)
    place = rng.integers(128, len(content))
    content[place] = rng.integers((256, 20)[turn % 2])
    open(path, 'wb').write(content)
    try:
        files.mat(path)
    except errors.UserError as error:
        refused += 1
        assert chr(10) not in str(error)
print(refused)
"""


def write(path, compress=False, seed=0):
    """A variable of every class that scipy writes."""
    rng = np.random.default_rng(seed)
    held = {
        'numbers': rng.normal(size=(5, 7)).astype(np.float32),
        'cell': np.array([['a', np.arange(3)]], object),
        'struct': {'a': 1, 'bb': 'text', 'n': {'q': [1, 2]}},
        'complex': np.arange(4) * 1j,
        'empty': np.zeros((0, 3)),
        'small': np.uint8([1, 2, 3]),
        'sparse': scipy.sparse.eye_array(4).tocsc(),
        'text': np.array(['a', 'bcd']),
    }
    scipy.io.savemat(path, held, do_compression=compress)
    return path


@pytest.mark.parametrize('compress', [False, True])
@pytest.mark.parametrize('seed', [0, 1])
def test_a_wrong_byte_anywhere_is_refused_or_read_and_never_ends_the_process(
    tmp_path, compress, seed
):
    path = write(tmp_path / 'a.mat', compress, seed)
    command = [sys.executable, '-W', 'ignore', '-c', FUZZ, str(path), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert int(done.stdout) > 100


def test_a_type_that_does_not_exist_is_named_before_scipy_sees_it(tmp_path):
    scipy.io.savemat(tmp_path / 'a.mat', {'x': np.arange(12.0).reshape(3, 4)})
    content = bytearray((tmp_path / 'a.mat').read_bytes())
    place = content.find(struct.pack('<I', 12 * 8)) - 4  # the tag of the numbers
    assert content[place] == 9
    for kind in (0, 8, 11, 14, 15, 19, 200):
        content[place] = kind
        (tmp_path / 'a.mat').write_bytes(content)
        with pytest.raises(errors.DataInvalid, match=f'type {kind} where it does not.*a.mat'):
            files.mat(tmp_path / 'a.mat')


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason='scipy came without its tests')
def test_files_that_matlab_itself_wrote_pass_and_broken_ones_do_not():
    """scipy's own examples: versions 4 to 8, both byte orders, every class of variable."""
    paths = [p for p in EXAMPLES.glob('*.mat') if 'hdf5' not in p.name]
    assert len(paths) > 90
    for path in paths:
        if path.stem in BROKEN:
            with pytest.raises((ValueError, EOFError, mat_elements.zlib.error)):
                mat_elements.check(path)
        else:
            mat_elements.check(path)


@pytest.mark.parametrize('compress', [False, True])
def test_counts_and_depths_that_cannot_be_are_refused(tmp_path, compress):
    path = tmp_path / 'a.mat'
    nested = np.arange(3)
    for _ in range(40):
        cell = np.empty((1, 1), object)
        cell[0, 0] = nested
        nested = cell
    scipy.io.savemat(path, {'x': nested}, do_compression=compress)
    with pytest.raises(errors.DataInvalid, match='matrices lie 33 deep'):
        files.mat(path)
    scipy.io.savemat(path, {'x': np.array([[1, 'a']], object)})
    content = path.read_bytes().replace(struct.pack('<ii', 1, 2), struct.pack('<ii', 1, 2**30), 1)
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='1,073,741,824 matrices promised'):
        files.mat(path)


def test_the_checksum_of_a_compressed_variable_is_compared_also_where_it_is_not_asked_for(tmp_path):
    path = write(tmp_path / 'a.mat', compress=True)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # in the checksum of the last
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='incorrect data check'):
        files.mat(path, ['numbers'])
