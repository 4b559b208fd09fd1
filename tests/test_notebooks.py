"""Every notebook runs as a test, in a process of its own."""

import os, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ('guides/bench.ipynb',)  # measures speed; `make bench` runs it
FOUND = sorted(p.relative_to(ROOT / 'nbs').as_posix() for p in (ROOT / 'nbs').rglob('*.ipynb'))
BOOKS = [b for b in FOUND if b not in HEAVY and '.ipynb_checkpoints' not in b]
RUN = """
import sys
from pathlib import Path
from nbdev.test import test_nb
passed, seconds = test_nb(Path(sys.argv[1]), skip_flags=['bench'], do_print=False)
sys.exit(not passed)
"""


@pytest.mark.parametrize('book', BOOKS)
def test_notebook(book):
    r = subprocess.run(
        [sys.executable, '-c', RUN, f'nbs/{book}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | dict(OMP_NUM_THREADS='1', TQDM_DISABLE='1'),
    )
    assert r.returncode == 0, (r.stdout + r.stderr)[-4000:]
