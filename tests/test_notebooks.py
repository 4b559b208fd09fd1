"""Every notebook runs as a test, in a process of its own."""
import os, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ('bench.ipynb',) # measures speed; `make bench` runs it
BOOKS = sorted(p.name for p in (ROOT/'nbs').glob('*.ipynb') if p.name not in HEAVY)

@pytest.mark.parametrize('book', BOOKS)
def test_notebook(book):
    code = f"import sys; from pathlib import Path; from nbdev.test import test_nb; ok, s = test_nb(Path('nbs/{book}'), skip_flags=['bench'], do_print=False); sys.exit(not ok)"
    r = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=600, env=os.environ | dict(OMP_NUM_THREADS='1', TQDM_DISABLE='1'))
    assert r.returncode==0, (r.stdout+r.stderr)[-4000:]
