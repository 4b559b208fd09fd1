"""Build the site from the notebooks and what they show: `make docs`.

nbdev processes every notebook as it does for its own sites; what `show_doc` says of a name
moves to a page of the reference, and Sphinx with myst-nb writes the rest into `_docs/`.
Nothing is executed but imports, and no page needs a network.
"""

import argparse, ast, base64, html, json, os, re, shutil, subprocess, sys, time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
NBS, DOCS, WORK = ROOT / 'nbs', ROOT / 'docs', ROOT / 'build' / 'docs'
PLOTLY = 'application/vnd.plotly.v1+json'
FLOORS = ('core', 'data', 'ingest', 'models', 'study', 'report', 'testing', 'cli', 'all')
# one of these stands for a column, a file or a command more often than for the function of its name
NOT_LINKED = set('cell compare describe fit load number plain save sweep table window'.split())


@dataclass(eq=False)
class Name:
    "A public name: where it is made, what is said of it, and who uses it"

    name: str
    module: str  # Without `duiit.`
    book: str  # The notebook that makes it, without ending
    said: str = ''  # Markdown: signature and docstring
    kind: str = 'function'
    users: list = field(default_factory=list)  # Notebooks

    @property
    def label(self):
        "What links point at; they do not tell `Basis` from `basis`"
        kind = self.kind.split(',')[0]
        ending = f'.{kind}' if kind in ('class', 'constant') else ''
        return f'{self.module}.{self.name}{ending}'


def source(cell):
    return ''.join(cell['source'])


def contents():
    import yaml

    return yaml.safe_load((DOCS / 'contents.yml').read_text())


def books():
    "Notebooks of the site in the order of reading, without ending"
    found = [page for pages in contents().values() for page in pages]
    return [page for page in found if (NBS / f'{page}.ipynb').exists()]


def title_of(notebook):
    "The first heading of a notebook"
    return re.search(r'^# (.+)', source(notebook['cells'][0]), re.M)[1].strip()


# --- what nbdev makes of a notebook


def processors():
    "nbdev's own, but exported code stays, folded, and links are made here"
    from nbdev import processors as nbdev

    left_out = {'FrontmatterProc', 'insert_warning', 'add_links', 'add_fold', 'rm_export'}
    left_out |= {'mv_exports'}
    own = [p for p in nbdev.FilterDefaults().base_procs() if p.__name__ not in left_out]
    return [*own, remove_hidden]


def remove_hidden(cell):
    "What only nbdev reads is no part of a page"
    if cell.cell_type == 'code' and cell.directives_.keys() & {'hide', 'default_exp'}:
        del cell['source']


def processed(book):
    "A notebook after nbdev's processors, and what it was before"
    from execnb.nbio import read_nb
    from nbdev.process import NBProcessor

    before = json.loads((NBS / f'{book}.ipynb').read_text())
    done = NBProcessor(nb=read_nb(NBS / f'{book}.ipynb'), procs=processors())
    done.process()
    return before, done.nb


def module_of(notebook):
    "The module that a notebook exports, without `duiit.`, or nothing"
    for cell in notebook['cells']:
        if found := re.search(r'^#\| default_exp (\S+)', source(cell), re.M):
            return found[1]


# --- the reference


def is_show_doc(cell):
    return cell.cell_type == 'code' and re.search(r'^show_doc\(', source(cell), re.M)


def shown_name(cell):
    return re.search(r'^show_doc\((\S+)\)', source(cell), re.M)[1]


def said_of(cell):
    "Signature and docstring, as `show_doc` tells them"
    text = ''.join(cell.outputs[0].data['text/markdown'])
    text = re.sub(r'^---\s*', '', text)
    text = re.sub(r'^\[source\]\([^)]*\)(\{[^}]*\})?\s*', '', text)
    text = re.sub(r'^#+ .*\n', '', text, count=1)
    # nbdev links names inside of signatures, where a link cannot be
    return re.sub(r'\[(`[^`]+`)\]\([^)]*\)', r'\1', text).strip()


def exported_in(cell):
    "Public names that an exported cell makes"
    if not re.search(r'^#\| exports?\b', source(cell), re.M):
        return []
    found = []
    for node in ast.parse(source(cell)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return [name for name in found if not name.startswith('_')]


def kind_of(value):
    if isinstance(value, type):
        return 'class'
    return 'function' if callable(value) else f'constant, {type(value).__name__}'


def names_of(book, before, after):
    "Public names of a notebook's module: name -> `Name`"
    from importlib import import_module

    module = module_of(before)
    if not module or module == 'all':
        return {}
    loaded = import_module(f'duiit.{module}')
    found = {}
    for cell in before['cells']:
        for name in exported_in(cell) if cell['cell_type'] == 'code' else []:
            if hasattr(loaded, name):
                kind = kind_of(getattr(loaded, name))
                found[name] = Name(name, module, book, kind=kind)
    for cell in after.cells:
        if is_show_doc(cell):
            name = shown_name(cell)
            kind = 'method' if '.' in name else 'function'
            known = found.setdefault(name, Name(name, module, book, kind=kind))
            known.said = said_of(cell)
    return found


def used_names(notebook):
    "(module, name) of every public name that the code of a notebook imports"
    found = set()
    for cell in notebook['cells']:
        if cell['cell_type'] != 'code':
            continue
        try:
            tree = ast.parse(source(cell))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('duiit.'):
                module = node.module.removeprefix('duiit.')
                found |= {(module, alias.name) for alias in node.names}
    return found


def example(value):
    "The start of a constant, as it would be typed"
    text = ' '.join(repr(value).split())
    if ' at 0x' in text:
        return ''
    return text if len(text) < 200 else text[:200] + ' …'


def entry(known, titles, lesson):
    "A name on its page of the reference"
    from importlib import import_module

    said = known.said
    if known.kind.startswith('constant'):
        value = getattr(import_module(f'duiit.{known.module}'), known.name)
        shown = example(value)
        said = f'A {known.kind.split(", ")[1]}.'
        said += f'\n\n```text\n{known.name} = {shown}\n```' if shown else ''
    users = [f'[{titles[b]}](/{b}.ipynb)' for b in known.users]
    where = f'Explained in [{titles[known.book]}](#lesson.{lesson})'
    if users:
        where += f'. Used in {", ".join(users)}'
    return f'(ref.{known.label})=\n## {known.name}\n\n{said}\n\n{where}.\n'


def first_sentence(known):
    text = re.search(r'\n\*(.+?)\*\s*$', known.said, re.S)
    return ' '.join(text[1].split()).replace('|', '\\|') if text else f'A {known.kind}'


def write_reference(names, titles):
    "A page for every module, and one that lists all of them by floor"
    modules = dict.fromkeys(known.module for known in names)
    pages, index = (
        [],
        [
            '# Reference',
            '',
            'Every public name by floor. All of them come with `from duiit.all import *`.',
            '',
        ],
    )
    for floor in FLOORS:
        mine = [m for m in modules if m.split('.')[0] == floor]
        if not mine:
            continue
        index += [f'## {floor}', '']
        for module in mine:
            page = f'reference/{module}'
            pages.append(page)
            known = [k for k in names if k.module == module]
            of = {k.name: k.label for k in known}
            of = {k: of[k.name.split('.')[0]] for k in known}
            text = [f'# duiit.{module}', '', *(entry(k, titles, of[k]) for k in known)]
            write(f'{page}.md', '\n'.join(text))
            index += [f'**[duiit.{module}](/{page}.md)**', '', '| | |', '|---|---|']
            index += [f'| [`{k.name}`](#ref.{k.label}) | {first_sentence(k)} |' for k in known]
            index.append('')
    tree = ['```{toctree}', ':hidden:', '', *(f'/{page}' for page in pages), '```']
    write('reference.md', '\n'.join([*index, *tree]))


# --- pages


def write(name, text):
    path = WORK / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def with_links(text, links):
    "Names in backticks lead to their entry in the reference; code blocks and links stay as they are"
    parts = re.split(r'(^```.*?^```|\[[^\]]*\]\([^)]*\)|^#+ .*$)', text, flags=re.M | re.S)

    def linked(found):
        label = links.get(found[1].removesuffix('()'))
        return f'[{found[0]}](#ref.{label})' if label else found[0]

    parts[::2] = [re.sub(r'(?<!`)`([\w.]+(?:\(\))?)`(?!`)', linked, p) for p in parts[::2]]
    return ''.join(parts)


GITHUB = 'https://github.com/duiit/duiit/blob/main/'
AS_PAGES = {
    'data/README.md': 'data_sets.md',
    'reports/README.md': 'studies.md',
    'reports/reference': 'studies.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
    'README.md': 'index.md',
    **{f'docs/pages/{p.name}': p.name for p in sorted((DOCS / 'pages').glob('*.md'))},
}


def moved(text, folder):
    "Links to files of the repository, as links of the site"

    def link(found):
        words, to = found[1], found[2]
        if re.match(r'\w+:|#', to):
            return found[0]
        path, _, anchor = to.partition('#')
        place = os.path.normpath(os.path.join(folder, path)).replace(os.sep, '/')
        anchor = f'#{anchor}' if anchor else ''
        if place.startswith('nbs/') and (ROOT / place).is_file():
            return f'[{words}](/{place.removeprefix("nbs/")}{anchor})'
        if place in AS_PAGES:
            return f'[{words}](/{AS_PAGES[place]}{anchor})'
        return f'[{words}]({GITHUB}{place}{anchor})'

    return re.sub(r'\[([^\]]*)\]\(([^)\s]+)\)', link, text)


def callouts(text):
    "Quarto's callouts as MyST's admonitions"
    text = re.sub(r'^:::+ *\{\.callout-(\w+)[^}]*\}', r':::{\1}', text, flags=re.M)
    return text


def took(seconds):
    "How long a notebook takes, in words"
    if not seconds:
        return ''
    if seconds < 60:
        return f'about {seconds} seconds to run'
    minutes = seconds / 60
    return f'about {minutes:g} minute{"s" * (minutes != 1)} to run'


def facts(book, before, module):
    "What stands below the title of a notebook's page"
    told = [f'{{download}}`Notebook </notebooks/{book}.ipynb>`']
    if time_ := took(before['metadata'].get('seconds')):
        told.append(time_)
    if module:
        told.append(
            f'[`duiit.{module}`](/reference/{module}.md)' if module != 'all' else '`duiit.all`'
        )
    told.append(f'[source]({GITHUB}nbs/{book}.ipynb)')
    return '{.facts}\n' + ' · '.join(told)


def alt_text(cells, number):
    "What a picture shows: the sentence before it"
    for cell in reversed(cells[:number]):
        if cell['cell_type'] == 'markdown' and source(cell).strip():
            text = re.sub(r'[`*$#>]|\{[^}]*\}', '', source(cell).split('\n\n')[-1])
            text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', text)
            return ' '.join(text.split()).split('. ')[0][:200]
    return 'A picture'


def figure_html(output, number, alt):
    "A figure that is drawn where there are scripts, and a picture where there are none"
    data = output['data']
    figure = json.dumps(data[PLOTLY], separators=(',', ':')).replace('</', '<\\/')
    picture = data.get('image/png', '')
    picture = ''.join(picture) if isinstance(picture, list) else picture
    height = data[PLOTLY].get('layout', {}).get('height', 420)
    shown = (
        f'<img src="data:image/png;base64,{picture.strip()}" alt="{html.escape(alt)}">'
        if picture
        else ''
    )
    return (
        f'<figure class="plotly" role="group" aria-label="{html.escape(alt)}" '
        f'style="--height: {height}px">{shown}'
        f'<script type="application/json">{figure}</script></figure>'
    )


def shown_output(output, number, alt):
    "An output as myst-nb takes it"
    output = json.loads(json.dumps(output))
    data = output.get('data', {})
    if PLOTLY in data:
        output['data'] = {'text/html': figure_html(output, number, alt)}
    elif 'image/png' in data:
        output['data'] = {'image/png': data['image/png']}
    elif 'text/html' in data:
        table = ''.join(data['text/html'])
        table = re.sub(r'<style scoped>.*?</style>', '', table, flags=re.S)
        table = table.replace(' border="1"', '')
        output['data'] = {
            'text/html': f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(alt)}">{table}</div>'
        }
    return output


def code_page_cells(cell, names, links):
    "An exported cell as a line that names what it makes, and the code, folded unless it is the lesson"
    is_open = bool(re.search(r'^#\| exports\b', cell['was'], re.M))
    made = [name for name in exported_in(dict(source=cell['was'])) if name in names]
    tags = [] if is_open else ['hide-input']
    code = re.sub(r'^#\|.*\n', '', source(cell), flags=re.M).strip('\n')
    if not made and not is_open:
        tags = ['hide-input']
    found = []
    if made:
        targets = ''.join(f'(lesson.{names[name].label})=\n' for name in made)
        told = ' · '.join(f'[`{name}`](#ref.{names[name].label})' for name in made)
        found.append(
            dict(
                cell_type='markdown',
                id=f'{cell["id"]}-names',
                metadata={},
                source=f'{targets}\n{{.made}}\n{told}',
            )
        )
    found.append(dict(cell, source=code, metadata=dict(tags=tags)))
    return found


def page_of(book, before, after, names, links):
    "A notebook as a page of the site"
    module = module_of(before)
    was = {cell['id']: source(cell) for cell in before['cells']}
    cells = [c for c in after.cells if not is_show_doc(c) and source(c).strip()]
    folder = os.path.dirname(f'nbs/{book}')
    out = []
    for number, cell in enumerate(cells):
        cell = dict(
            id=cell.get('id', f'made-{number}'),
            cell_type=cell.cell_type,
            metadata={},
            source=source(cell),
            outputs=[json.loads(json.dumps(o)) for o in cell.get('outputs', [])],
        )
        if cell['cell_type'] == 'markdown':
            text = callouts(with_links(moved(cell['source'], folder), links))
            if number == 0:
                text = re.sub(r'^> (.+)$', r'{.lead}\n\1', text, count=1, flags=re.M)
                text += '\n\n' + facts(book, before, module)
            out.append(dict(cell_type='markdown', id=cell['id'], metadata={}, source=text))
            continue
        cell['was'] = was.get(cell['id'], cell['source'])
        told = re.search(r'^#\| fig-alt: (.+)', cell['was'], re.M)
        alt = told[1] if told else alt_text(cells, number)
        cell['outputs'] = [shown_output(o, number, alt) for o in cell['outputs']]
        exported = re.search(r'^#\| exports?\b', cell['was'], re.M)
        made = code_page_cells(cell, names, links) if exported else [dict(cell)]
        for one in made:
            one.pop('was', None)
            if one['cell_type'] == 'markdown':
                out.append(one)
                continue
            if re.search(r'^#\| (echo: *false|hide_input)', one['source'], re.M):
                one['metadata'] = dict(tags=['remove-input'])
            one['source'] = re.sub(r'^#\|.*\n?', '', one['source'], flags=re.M)
            one['metadata']['mystnb'] = dict(image=dict(alt=alt))
            one['execution_count'] = None
            out.append(one)
    about = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'))
    return dict(cells=out, metadata=about, nbformat=4, nbformat_minor=5)


# --- the whole site


def tree(pages, caption):
    links = '\n'.join(f'/{page}' for page in pages)
    return f'```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{links}\n```\n'


def write_index(links):
    "The first page: README, and the contents of the site"
    sys.path.insert(0, str(ROOT / 'tests'))
    from readme import PICTURE, picture, readme

    text = re.sub(r'^> (.+)$', r'{.lead}\n\1', moved(readme(), ''), count=1, flags=re.M)
    trees = [tree(pages, caption) for caption, pages in contents().items()]
    write('index.md', '\n\n'.join([with_links(text, links), *trees]))
    (WORK / Path(PICTURE).name).write_bytes(picture())


def write_studies(own, progress):
    "A page for every study: its model card, and its report beside it"
    from duiit.report.card import model_card
    from duiit.report.page import write_page
    from duiit.report.words import answer, basis, question
    from duiit.study.results import collect

    kept = sorted(p.parent for p in ROOT.glob('reports/reference/*/kept'))
    pages, rows = [], []
    for folder in [*kept, *(ROOT / 'reports' / name for name in own)]:
        progress(f'report of {folder.name}')
        page = f'studies/{folder.name}'
        report = WORK / 'extra' / 'reports' / f'{folder.name}.html'
        script, card = '../_static/plotly.min.js', f'../{page}.html'
        v = basis(collect(folder))
        write_page(v, report, script, card)
        declared = v.study['contrasts']
        told = answer(v.C[: len(declared)], v.arms, declared, v.unit, v.part)
        link = f'<a href="../reports/{folder.name}.html">The whole report</a>'
        text = model_card(v).replace(
            '\n\n', f'\n\n{link}: all tables, figures and tests.\n\n', 1
        )
        write(f'{page}.md', text)
        pages.append(page)
        asked = question(v.study, v.arms)
        rows.append(f'| [{folder.name}](/{page}.md) | {asked} | **{told["verdict"]}** |')
    head = ['| study | question | answer |', '|---|---|---|', *rows]
    text = (DOCS / 'pages' / 'studies.md').read_text()
    hidden = ['', '```{toctree}', ':hidden:', '', *(f'/{page}' for page in pages), '```']
    write('studies.md', text + '\n'.join(['', *head, *hidden, '']))


def write_pages(links):
    "Pages that are no notebooks: those of `docs/pages`, and texts of the repository"
    for path in sorted((DOCS / 'pages').glob('*.md')):
        if path.name == 'studies.md':
            continue
        write(path.name, with_links(moved(path.read_text(), 'docs/pages'), links))
    for name, page in AS_PAGES.items():
        if name in ('data/README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'):
            text = (ROOT / name).read_text()
            write(page, with_links(moved(text, os.path.dirname(name)), links))


def copy_static():
    "Mathematics and figures are drawn by scripts that come with the site"
    import plotly
    from importlib.util import find_spec

    static = WORK / '_static'
    shutil.copytree(DOCS / 'static', static)
    script = Path(plotly.__file__).parent / 'package_data' / 'plotly.min.js'
    shutil.copy(script, static)
    mathjax = Path(find_spec('sphinx-mathjax-offline').submodule_search_locations[0])
    shutil.copy(mathjax / 'static' / 'mathjax' / 'tex-svg-full.js', static)


def write_sources(own, progress):
    "Everything that Sphinx reads, into `build/docs`"
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    found = {}
    for number, book in enumerate(books()):
        progress(f'{book} ({number + 1} of {len(books())})')
        found[book] = processed(book)
    titles = {book: title_of(before) for book, (before, _) in found.items()}
    by_book = {book: names_of(book, *both) for book, both in found.items()}
    names = [known for mine in by_book.values() for known in mine.values()]
    for book, (before, _) in found.items():
        used = used_names(before)
        for known in names:
            if known.book != book and (known.module, known.name) in used:
                known.users.append(book)
    links = {}
    for known in names:
        links.setdefault(known.name, known.label)
    links = {name: label for name, label in links.items() if name not in NOT_LINKED}
    for book, (before, after) in found.items():
        page = page_of(book, before, after, by_book[book], links)
        write(f'{book}.ipynb', json.dumps(page, ensure_ascii=False))
        target = WORK / 'notebooks' / f'{book}.ipynb'
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(NBS / f'{book}.ipynb', target)
    write_index(links)
    write_pages(links)
    write_studies(own, progress)
    write_reference(names, titles)
    copy_static()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', default=ROOT / '_docs', help='where the site is written')
    parser.add_argument(
        '--reports', nargs='*', default=[], help='studies of reports/ that join it'
    )
    asked = parser.parse_args()
    start = time.perf_counter()

    def progress(text):
        print(f'{time.perf_counter() - start:5.0f} s  {text}', file=sys.stderr)

    write_sources(asked.reports, progress)
    progress('Sphinx')
    sphinx = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-j', '2']
    made = ROOT / 'build' / 'site'
    shutil.rmtree(made, ignore_errors=True)
    command = [*sphinx, '-c', DOCS, '-d', ROOT / 'build' / 'doctrees', WORK, made]
    status = subprocess.run(list(map(str, command))).returncode
    if not status:
        shutil.rmtree(asked.out, ignore_errors=True)
        shutil.move(made, asked.out)
    progress(f'{asked.out}/index.html' if not status else 'failed')
    sys.exit(status)


if __name__ == '__main__':
    main()
