"""What must hold for the repository as a whole."""
import ast, configparser, filecmp, json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest, yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NBS = sorted((ROOT/'nbs').glob('*.ipynb'))

def run(*args, cwd=ROOT, **kw): return subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True, timeout=300, **kw)
def tool(name): return Path(sys.executable).parent/name
def cells(nb): return json.loads(nb.read_text())['cells']
def source(c): return ''.join(c['source'])

@pytest.fixture
def copy(tmp_path):
    "The notebooks and settings, without the exported module"
    shutil.copytree(ROOT/'nbs', tmp_path/'nbs', ignore=shutil.ignore_patterns('.ipynb_checkpoints'))
    shutil.copy(ROOT/'settings.ini', tmp_path)
    (tmp_path/'duiit').mkdir()
    return tmp_path

def test_exported_module_equals_its_notebooks(copy):
    r = run(tool('nbdev_export'), cwd=copy)
    assert r.returncode==0, r.stderr
    made, kept = ({p.name for p in (d/'duiit').glob('*.py')} for d in (copy, ROOT))
    assert made==kept
    assert [n for n in sorted(made) if not filecmp.cmp(copy/'duiit'/n, ROOT/'duiit'/n, shallow=False)]==[], 'run nbdev_export'

def test_notebooks_are_clean_and_keep_their_tags(copy):
    r = run(tool('nbdev_clean'), cwd=copy)
    assert r.returncode==0, r.stderr
    assert [n.name for n in NBS if not filecmp.cmp(copy/'nbs'/n.name, n, shallow=False)]==[], 'run nbdev_clean'
    tagged = {n.name for n in (copy/'nbs').glob('*.ipynb') if any('parameters' in c['metadata'].get('tags', []) for c in cells(n))}
    assert tagged >= {'run.ipynb', 'report.ipynb'}

@pytest.mark.parametrize('book,value,says', [('run', ('armm', 'pure-ct'), "unknown parameter 'armm'"), ('run', ('split', 'two'), 'expected int'), ('report', ('studdy', 'x'), "unknown parameter 'studdy'")])
def test_undeclared_parameter_stops_before_anything_runs(tmp_path, book, value, says):
    r = run(tool('papermill'), f'nbs/{book}.ipynb', tmp_path/'out.ipynb', '--no-progress-bar', '-p', *value)
    assert r.returncode!=0 and says in r.stderr, r.stderr[-2000:]
    ran = [c for c in cells(tmp_path/'out.ipynb') if c['cell_type']=='code' and c['execution_count']]
    assert len(ran)<=4 # parameters, injected ones, the import of the check, the check

def test_modules_import_only_lower_numbered_ones():
    number = {re.search(r'default_exp (\S+)', s)[1]: n.name[:2] for n in NBS for s in map(source, cells(n)) if '#| default_exp' in s}
    assert sorted(number.values())==sorted(set(number.values())), 'two notebooks have one number'
    for m,n in number.items():
        for node in ast.walk(ast.parse((ROOT/'duiit'/f'{m}.py').read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module and (node.level or node.module.startswith('duiit')) else [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for o in (x.removeprefix('duiit.') for x in names if x.removeprefix('duiit.') in number):
                assert number[o] < n or o==m, f'{m} ({n}) imports {o} ({number[o]})'

def test_results_statistics_and_figures_import_without_torch():
    code = "import sys, duiit.study, duiit.results, duiit.stats, duiit.figures, duiit.report, duiit.cli; sys.exit('torch' in sys.modules)"
    assert run(sys.executable, '-c', code).returncode==0

def test_environment_lock_and_settings_agree():
    norm = lambda s: re.sub(r'[-_.]+', '-', s).lower()
    lock = {norm(r.name): str(r.specifier).removeprefix('==') for l in (ROOT/'requirements.lock').read_text().splitlines() if l and l[0]!='#' for r in [Requirement(l)]}
    s = configparser.ConfigParser(delimiters=['='], interpolation=None); s.read(ROOT/'settings.ini'); s = s['DEFAULT']
    for r in map(Requirement, (s['requirements']+' '+s['dev_requirements']).split()):
        assert norm(r.name) in lock, f'{r.name} is not in requirements.lock'
        assert r.specifier.contains(lock[norm(r.name)], prereleases=True), f'{r} but locked {lock[norm(r.name)]}'
    deps = yaml.safe_load((ROOT/'environment.yml').read_text())['dependencies']
    assert f"python={s['min_python']}" in deps and ['-r requirements.lock', '-e .'] in [d['pip'] for d in deps if isinstance(d, dict)]

def test_no_committed_file_names_a_machine():
    if not (ROOT/'.git').exists(): pytest.skip('not a checkout')
    pattern = re.compile(rb'(?<![\w.])/(?:home|root|Users|work|tmp|var|mnt|opt)/[\w.-]+|[A-Z]:\\\\Users')
    files = run('git', 'ls-files', '-z').stdout.split('\0')[:-1]
    found = [(f, m[0]) for f in files if Path(f).suffix not in ('.npz',) and (ROOT/f).is_file() for m in [pattern.search((ROOT/f).read_bytes())] if m]
    assert found==[]

def test_readme_is_the_index_notebook():
    sys.path.insert(0, str(ROOT/'tests'))
    from readme import readme
    assert (ROOT/'README.md').read_text()==readme(ROOT/'nbs'/'index.ipynb'), 'run python tests/readme.py'
