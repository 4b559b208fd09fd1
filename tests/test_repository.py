"""What must hold for the repository as a whole."""

import ast, configparser, filecmp, json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest, yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NBS = sorted(p for p in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def run(*args, cwd=ROOT, **kw):
    return subprocess.run(
        [str(a) for a in args], cwd=cwd, capture_output=True, text=True, timeout=300, **kw
    )


def tool(name):
    return Path(sys.executable).parent / name


def cells(nb):
    return json.loads(nb.read_text())['cells']


def source(c):
    return ''.join(c['source'])


@pytest.fixture
def copy(tmp_path):
    "The notebooks and settings, without the exported module"
    shutil.copytree(
        ROOT / 'nbs', tmp_path / 'nbs', ignore=shutil.ignore_patterns('.ipynb_checkpoints')
    )
    shutil.copy(ROOT / 'settings.ini', tmp_path)
    (tmp_path / 'duiit').mkdir()
    return tmp_path


def modules(folder):
    return {p.relative_to(folder).as_posix() for p in (folder / 'duiit').rglob('*.py')}


def differing(names, one, other):
    return [n for n in sorted(names) if not filecmp.cmp(one / n, other / n, shallow=False)]


def test_exported_module_equals_its_notebooks(copy):
    r = run(tool('nbdev_export'), cwd=copy)
    assert r.returncode == 0, r.stderr
    made = modules(copy)
    assert made == modules(ROOT), 'run nbdev_export'
    assert differing(made, copy, ROOT) == [], 'run nbdev_export'


def is_tagged(nb, tag):
    return any(tag in c['metadata'].get('tags', []) for c in cells(nb))


def test_notebooks_are_clean_and_keep_their_tags(copy):
    r = run(tool('nbdev_clean'), cwd=copy)
    assert r.returncode == 0, r.stderr
    names = [n.relative_to(ROOT).as_posix() for n in NBS]
    assert differing(names, copy, ROOT) == [], 'run nbdev_clean'
    tagged = [n for n in names if is_tagged(copy / n, 'parameters')]
    assert {'nbs/papermill/run.ipynb', 'nbs/papermill/report.ipynb'} <= set(tagged)


def test_code_is_formatted():
    r = run(tool('ruff'), 'format', '--check', '.')
    assert r.returncode == 0, 'run make style\n' + r.stdout


@pytest.mark.parametrize('nb', NBS, ids=lambda nb: nb.stem)
def test_no_line_of_code_is_too_long_to_read(nb):
    code = [source(c) for c in cells(nb) if c['cell_type'] == 'code']
    lines = '\n'.join(code).splitlines()
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize(
    'book,value,says',
    [
        ('run', ('armm', 'pure-ct'), "unknown parameter 'armm'"),
        ('run', ('split', 'two'), 'expected int'),
        ('report', ('studdy', 'x'), "unknown parameter 'studdy'"),
    ],
)
def test_undeclared_parameter_stops_before_anything_runs(tmp_path, book, value, says):
    r = run(
        tool('papermill'),
        f'nbs/papermill/{book}.ipynb',
        tmp_path / 'out.ipynb',
        '--no-progress-bar',
        '-p',
        *value,
    )
    assert r.returncode != 0 and says in r.stderr, r.stderr[-2000:]
    ran = [
        c
        for c in cells(tmp_path / 'out.ipynb')
        if c['cell_type'] == 'code' and c['execution_count']
    ]
    assert len(ran) <= 4  # parameters, injected ones, the import of the check, the check


FLOORS = dict(core=0, data=1, ingest=2, models=2, study=3, report=4, testing=5, cli=6, all=7)


def exports():
    "Module -> its notebook, relative to nbs/ and without the ending"
    found = {}
    for nb in NBS:
        for text in map(source, cells(nb)):
            if name := re.search(r'#\| default_exp (\S+)', text):
                found[name[1]] = nb.relative_to(ROOT / 'nbs').with_suffix('').as_posix()
    return found


def imported(module):
    "Modules of this package that a module imports, at the top or in a function"
    file = ROOT / 'duiit' / (module.replace('.', '/') + '.py')
    package = ['duiit', *module.split('.')[:-1]]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            start = '.'.join([*above, *([node.module] if node.module else [])])
            names = [start, *(f'{start}.{a.name}' for a in node.names)]
        else:
            continue
        yield from (n.removeprefix('duiit.') for n in names if n.startswith('duiit.'))


def test_every_import_runs_down():
    books = exports()
    assert len(set(books.values())) == len(books), 'two modules in one notebook'
    for module, book in books.items():
        room = module.split('.')[0]
        for other in imported(module):
            if other not in books or other == module:
                continue
            other_room = other.split('.')[0]
            lower = FLOORS[other_room] < FLOORS[room]
            before = other_room == room and books[other] < book
            assert lower or before, f'{module} ({book}) imports {other} ({books[other]})'


def test_results_statistics_and_figures_import_without_torch():
    code = (
        "import sys, duiit.study.arms, duiit.study.results, duiit.report.page, "
        "duiit.report.compare, duiit.cli; sys.exit('torch' in sys.modules)"
    )
    assert run(sys.executable, '-c', code).returncode == 0


def test_environment_lock_and_settings_agree():
    def norm(s):
        return re.sub(r'[-_.]+', '-', s).lower()

    lock = {
        norm(r.name): str(r.specifier).removeprefix('==')
        for l in (ROOT / 'requirements.lock').read_text().splitlines()
        if l and l[0] != '#'
        for r in [Requirement(l)]
    }
    s = configparser.ConfigParser(delimiters=['='], interpolation=None)
    s.read(ROOT / 'settings.ini')
    s = s['DEFAULT']
    for r in map(
        Requirement,
        ' '.join(
            s[k] for k in ('requirements', 'dev_requirements', 'docs_requirements')
        ).split(),
    ):
        assert norm(r.name) in lock, f'{r.name} is not in requirements.lock'
        assert r.specifier.contains(lock[norm(r.name)], prereleases=True), (
            f'{r} but locked {lock[norm(r.name)]}'
        )
    deps = yaml.safe_load((ROOT / 'environment.yml').read_text())['dependencies']
    assert f"python={s['min_python']}" in deps and ['-r requirements.lock', '-e .'] in [
        d['pip'] for d in deps if isinstance(d, dict)
    ]


def test_signatures_are_true():
    r = run(sys.executable, '-m', 'mypy', '--no-error-summary')
    assert r.returncode == 0, r.stdout


def mixed(cell):
    "Whether a cell that is not exported imports and does something else as well"
    text = source(cell)
    if cell['cell_type'] != 'code' or 'nbdev_export()' in text or is_exported(text):
        return False
    body = ast.parse(re.sub(r'^[%!].*', '', text, flags=re.M)).body
    kinds = (ast.Import, ast.ImportFrom)
    imports = any(isinstance(n, kinds) for top in body for n in ast.walk(top))
    return imports and any(not isinstance(top, kinds) for top in body)


def is_exported(text):
    return re.search(r'^#\| exports?\b', text, re.M)


@pytest.mark.parametrize('nb', NBS, ids=lambda nb: nb.stem)
def test_cells_that_import_do_nothing_else(nb):
    "nbdev executes them when it makes documentation"
    assert [source(c)[:200] for c in cells(nb) if mixed(c)] == []


def test_workflows_are_pinned_and_may_do_little():
    for path in (ROOT / '.github' / 'workflows').glob('*.yml'):
        flow = yaml.safe_load(path.read_text())
        assert flow['permissions'] == {'contents': 'read'}
        steps = [step for job in flow['jobs'].values() for step in job['steps']]
        used = [step['uses'] for step in steps if 'uses' in step]
        assert used and all(re.fullmatch(r'[\w-]+/[\w-]+@[0-9a-f]{40}', name) for name in used)
        for step in steps:
            if 'run' in step:
                target = step['run'].removeprefix('make ')
                assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.M)
    for path in (ROOT / '.github' / 'ISSUE_TEMPLATE').glob('*.yml'):
        assert isinstance(yaml.safe_load(path.read_text()), dict)
    assert (
        'duiit report STUDY --provenance'
        in (ROOT / '.github/ISSUE_TEMPLATE/problem.yml').read_text()
    )
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors', 'references'} <= set(cited)


def test_no_committed_file_names_a_machine():
    if not (ROOT / '.git').exists():
        pytest.skip('not a checkout')
    pattern = re.compile(
        rb'(?<![\w.])/(?:home|root|Users|work|tmp|var|mnt|opt)/[\w.-]+|[A-Z]:\\\\Users'
    )
    files = run('git', 'ls-files', '-z').stdout.split('\0')[:-1]
    found = [
        (f, m[0])
        for f in files
        if Path(f).suffix not in ('.npz',) and (ROOT / f).is_file()
        for m in [pattern.search((ROOT / f).read_bytes())]
        if m
    ]
    assert found == []


def test_readme_is_the_index_notebook():
    from readme import PICTURE, picture, readme

    say = 'run python tests/readme.py'
    assert (ROOT / 'README.md').read_text() == readme(), say
    assert (ROOT / PICTURE).read_bytes() == picture(), say


def links():
    "(file, where a link of its text points) for all notebooks and readmes"
    for nb in NBS:
        folder = ROOT if nb.name == 'index.ipynb' else nb.parent
        for cell in cells(nb):
            if cell['cell_type'] == 'markdown':
                yield from (
                    (nb, folder / to) for to in re.findall(r'\]\(([^)#\s]+)', source(cell))
                )
    for name in ('README.md', 'data/README.md', 'reports/README.md'):
        text = (ROOT / name).read_text()
        found = re.findall(r'\]\(([^)#\s]+)', text)
        yield from ((ROOT / name, (ROOT / name).parent / to) for to in found)


def test_links_lead_somewhere():
    lost = [(f.name, to.name) for f, to in links() if 'http' not in str(to) and not to.exists()]
    assert lost == []


@pytest.mark.parametrize(
    'wanted', ['docs', 'docs SERVE=1', 'lab', 'notebooks', 'study', 'test']
)
def test_what_make_would_run_is_a_shell_script(wanted):
    told = subprocess.run(
        ['make', '-n', *wanted.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    subprocess.run(['sh', '-n'], input=told.stdout, text=True, check=True)
