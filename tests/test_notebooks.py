"""Every notebook runs as a test, in a process of its own.

All are forks of one process that has imported what most notebooks need: that takes eight seconds,
once instead of fifty times.
"""

import multiprocessing, os, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ('guides/bench.ipynb',)  # measures speed; `make bench` runs it
FOUND = sorted(p.relative_to(ROOT / 'nbs').as_posix() for p in (ROOT / 'nbs').rglob('*.ipynb'))
BOOKS = [b for b in FOUND if b not in HEAVY and '.ipynb_checkpoints' not in b]
TIME_LIMIT = 600  # seconds
NEEDED = ['nbdev.test', 'duiit.report.page', 'duiit.study.runs']


def run(book, told):
    "Execute a notebook; what it prints goes to the file `told`"
    from nbdev.test import test_nb

    with open(told, 'w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(ROOT)
    passed, _ = test_nb(ROOT / 'nbs' / book, skip_flags=['bench'], do_print=False)
    sys.exit(not passed)


@pytest.fixture(scope='session')
def forks():
    "Where processes come from that have imported everything already"
    os.environ.update(OMP_NUM_THREADS='1', TQDM_DISABLE='1')
    able = 'forkserver' in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('forkserver' if able else 'spawn')
    if able:
        context.set_forkserver_preload(NEEDED)
    return context


@pytest.mark.parametrize('book', BOOKS)
def test_notebook(book, forks, tmp_path):
    told = tmp_path / 'told.txt'
    process = forks.Process(target=run, args=(book, told))
    process.start()
    process.join(TIME_LIMIT)
    in_time = not process.is_alive()
    process.kill()
    assert in_time and process.exitcode == 0, told.read_text()[-4000:]
