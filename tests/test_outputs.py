"""Notebooks show what they do: saved outputs are there, of the code as it is, and clean."""

import json
import pytest
from notebooks import NBS, PLOTLY, books, code_hash, complaints
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
    notebook['cells'][2]['source'] += ['\n# a remark']
    assert code_hash(notebook) == before
    notebook['cells'][2]['source'] = ['x = 1']
    assert code_hash(notebook) != before
    place = '/'.join(['', 'tmp', 'somewhere'])
    notebook['cells'][2]['outputs'] = [dict(output_type='stream', name='stdout', text=[place])]
    assert complaints(notebook) == [f'cell 2 shows {place}']


def test_the_picture_of_another_figure_is_seen():
    notebook = saved('guides/translators.ipynb')
    cells = [cell for cell in notebook['cells'] if cell.get('outputs')]
    drawn = [
        o['data'] for cell in cells for o in cell['outputs'] if PLOTLY in o.get('data', {})
    ]
    drawn[0]['image/png'], drawn[1]['image/png'] = drawn[1]['image/png'], drawn[0]['image/png']
    assert ['picture of another figure' in said for said in complaints(notebook)] == [True] * 2


@pytest.mark.parametrize('module', modules())
def test_public_parameters_are_explained(module):
    count, without = missing(module)
    assert len(without) <= UNEXPLAINED.get(module, 0), f'{module}: explain {", ".join(without)}'
