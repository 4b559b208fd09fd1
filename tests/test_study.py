"""From raw downloads to a report, twice: the same files, study, environment and seeds give the same bytes in two fresh copies of the checkout."""
import subprocess, sys
from pathlib import Path
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from kills import checkout

STUDY = '''cohorts: data/cohorts/tiny
arms: [pure-ct, mix-ct-mri-pet]
splits: 1
preset: smoke
fractions: [.5, .2, .3]
'''
WHEN = ['started','seconds','peak_mb'] # of table `runs`: what a clock says

def raw(folder):
    "Made-up downloads in the true formats, a dozen subjects each"
    from duiit.dicom import fake_hn_pet
    from duiit.downloads import fake_ct_ich, fake_lgg_mri
    fake_ct_ich(folder/'ct-ich'); fake_lgg_mri(folder/'lgg-mri'); fake_hn_pet(folder/'hn-pet')
    return folder

def results(folder, raw):
    "Raw files to report in a copy: path -> bytes of cohorts, tables, predictions, networks and pictures"
    checkout(folder); (folder/'tiny.yaml').write_text(STUDY)
    def run(*args): r = subprocess.run(args, cwd=folder, capture_output=True, text=True, timeout=800); assert r.returncode==0, (r.stdout+r.stderr)[-3000:]
    for name,m in (('ct-ich','ct'),('lgg-mri','mri'),('hn-pet','pet')): run(folder/'.venv'/'bin'/'duiit', 'cohort', name, raw/name, f'data/cohorts/tiny/{m}', '--size', '32', '--spacing', '7')
    run('make', 'study', 'STUDY=tiny.yaml')
    here = folder/'reports'/'tiny'; assert (here/'index.html').exists()
    files = {f.relative_to(folder).as_posix():f.read_bytes() for d in (here/'tables', here/'runs', folder/'data'/'cohorts') for f in sorted(d.rglob('*')) if f.suffix in ('.csv','.parquet','.safetensors','.npz','.npy') and f.stem!='runs'}
    return files | {'runs': pd.read_csv(here/'tables'/'runs.csv').drop(columns=WHEN).to_csv().encode()}

def test_raw_files_to_report_twice_give_the_same_bytes(tmp_path):
    a, b = (results(tmp_path/n, raw(tmp_path/f'raw {n}')) for n in 'ab')
    assert len(a)>60 and a.keys()==b.keys()
    assert [n for n in a if a[n]!=b[n]]==[]
