import pytest

from recon.core import errors, lookup


def test_a_name_is_a_file_and_a_wrong_one_lists_those_that_exist():
    assert lookup.find('recon.decoders', 'ridge', 'decoder.name').__name__ == 'recon.decoders.ridge'
    assert 'ridge' in lookup.names('recon.decoders')
    with pytest.raises(errors.ConfigError) as caught:
        lookup.find('recon.decoders', 'rigde', 'decoder.name')
    text = str(caught.value)
    assert "decoder.name is 'rigde'" in text and "did you mean 'ridge'" in text and 'omp' in text


def test_private_files_cannot_be_named_in_a_config():
    assert not [n for n in lookup.names('recon.decoders') if n.startswith('_')]
    with pytest.raises(errors.ConfigError):
        lookup.find('recon.decoders', '_windows', 'decoder.name')
