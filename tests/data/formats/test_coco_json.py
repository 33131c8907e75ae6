import json
import tracemalloc

import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import coco_json


def save(tmp_path, content, **how):
    path = tmp_path / 'a.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content, **how))
    return path


def rebuilt(path):
    out = {}
    for key, item in coco_json.stream(path):
        out.setdefault(key, []).append(item)
    return out


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('how', [{}, {'indent': 2}, {'separators': (',', ':')}])
def test_items_are_those_of_the_whole_file_read_at_once(tmp_path, monkeypatch, seed, how):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(coco_json, '_CHUNK', int(rng.integers(1, 40)))
    texts = ['a"b', '\\', '[1, {', '"annotations": [', '\n', 'ü€𝄞', '']
    content = {
        'info': {'year': 2017, 'annotations': [1, 2]},
        'n': 1234567,
        'annotations': [
            {'id': i, 'x': rng.random(rng.integers(0, 30)).tolist(), 's': texts[i % len(texts)]}
            for i in range(rng.integers(1, 20))
        ],
        'empty': [],
        'images': [1, 'two', None, [3], {}],
        'last': -1.5e3,
    }
    got = rebuilt(save(tmp_path, content, **how))
    assert got.pop('info') == [content['info']] and got.pop('n') == [1234567]
    assert got.pop('last') == [-1500.0]
    assert got == {key: content[key] for key in ('annotations', 'images')}


def test_an_empty_object_has_no_items(tmp_path):
    assert rebuilt(save(tmp_path, ' { } ')) == {}


def test_only_what_is_asked_for_is_given_and_what_is_missing_is_named(tmp_path):
    path = save(tmp_path, {'a': [{'k': 1}], 'b': [{'k': 2}]})
    assert list(coco_json.lists(path, 'b')) == [('b', {'k': 2})]
    with pytest.raises(errors.DataInvalid, match=r'no images in it.*it has a, b'):
        list(coco_json.lists(path, 'a', 'images'))


@pytest.mark.parametrize('cut', [1, 2, 9, 30, -1, -2, -9])
def test_a_file_cut_short_is_refused_wherever_the_cut_is(tmp_path, cut):
    whole = json.dumps({'annotations': [{'id': i} for i in range(5)], 'n': 12})
    with pytest.raises(errors.DataInvalid, match='not JSON that can be read, or cut short'):
        list(coco_json.stream(save(tmp_path, whole[:cut])))


@pytest.mark.parametrize('text', ['[1, 2]', '"text"', '{"a" 1}', '{"a": [1 2]}', '{"a": 1]', '\0'])
def test_what_is_no_object_is_refused(tmp_path, text):
    with pytest.raises(errors.DataInvalid, match='not JSON'):
        list(coco_json.stream(save(tmp_path, text)))


def test_bytes_that_are_no_text_an_empty_file_and_none_are_refused(tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(errors.DataInvalid, match='UnicodeDecodeError'):
        list(coco_json.stream(path))
    path.write_bytes(b'')
    with pytest.raises(errors.DataInvalid, match='the file is empty'):
        list(coco_json.stream(path))
    with pytest.raises(errors.DataMissing, match='no such file'):
        list(coco_json.stream(tmp_path / 'b.json'))
    with pytest.raises(errors.DataInvalid, match='RecursionError'):
        list(coco_json.stream(save(tmp_path, '{"a": ' + '[' * 200_000)))


def test_memory_is_that_of_an_item_and_not_of_the_file(tmp_path):
    path = save(tmp_path, '{"a": [' + ', '.join([json.dumps({'x': 'y' * 10_000})] * 3000) + ']}')
    assert path.stat().st_size > 30e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in coco_json.stream(path)) == 3000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6
