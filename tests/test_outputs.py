"""Notebooks show what they do: saved outputs are there, of the code as it is, and clean."""

import json
import pytest
from notebooks import NBS, books, code_hash, complaints
from docments import missing, modules

# these are explained by `Param(...)`, which `--help` shows
UNEXPLAINED = {'duiit.cli': 3}


def saved(book):
    return json.loads((NBS / book).read_text())


@pytest.mark.parametrize('book', books())
def test_outputs_are_of_the_code_as_it_is(book):
    notebook = saved(book)
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    if not code:
        return
    shown = notebook['metadata'].get('outputs_of')
    say = f'make notebooks NB=nbs/{book}'
    assert shown, f'no saved outputs: {say}'
    assert shown == code_hash(notebook), f'saved outputs are older than the code: {say}'


@pytest.mark.parametrize('book', books())
def test_outputs_are_small_and_name_no_machine(book):
    assert complaints(saved(book)) == []


def test_stale_and_missing_outputs_are_seen():
    notebook = saved('data/00_show.ipynb')
    before = code_hash(notebook)
    notebook['cells'][2]['source'] = ['x = 1']
    assert code_hash(notebook) != before
    place = '/'.join(['', 'tmp', 'somewhere'])
    notebook['cells'][2]['outputs'] = [dict(output_type='stream', name='stdout', text=[place])]
    assert complaints(notebook) == [f'cell 2 shows {place}']


@pytest.mark.parametrize('module', modules())
def test_public_parameters_are_explained(module):
    count, without = missing(module)
    assert len(without) <= UNEXPLAINED.get(module, 0), f'{module}: explain {", ".join(without)}'
