"""The same study file, environment and seeds give the same bytes in two fresh copies of the checkout."""
import subprocess, sys
from pathlib import Path
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from kills import checkout

STUDY = '''cohorts: data/cohorts/tiny
sources: [mri]
arms: [pure-ct, mix-ct-mri]
splits: 1
preset: smoke
fractions: [.5, .2, .3]
make: {phantom: {ct: 10, mri: 6, pet: 0, slices: 2, size: 32}}
'''
WHEN = ['started','seconds','peak_mb'] # of table `runs`: what a clock says

def results(folder):
    "A study in a copy: path -> bytes of tables, predictions, networks and pictures"
    checkout(folder); (folder/'tiny.yaml').write_text(STUDY)
    r = subprocess.run(['make', 'study', 'STUDY=tiny.yaml'], cwd=folder, capture_output=True, text=True, timeout=800)
    assert r.returncode==0, (r.stdout+r.stderr)[-3000:]
    here = folder/'reports'/'tiny'; assert (here/'index.html').exists()
    files = {f.relative_to(here).as_posix():f.read_bytes() for d in ('tables','runs') for f in sorted((here/d).rglob('*')) if f.suffix in ('.csv','.parquet','.safetensors','.npz') and f.stem!='runs'}
    return files | {'runs': pd.read_csv(here/'tables'/'runs.csv').drop(columns=WHEN).to_csv().encode()}

def test_two_fresh_copies_give_the_same_bytes(tmp_path):
    a, b = results(tmp_path/'a'), results(tmp_path/'b')
    assert len(a)>20 and a.keys()==b.keys()
    assert [n for n in a if a[n]!=b[n]]==[]
