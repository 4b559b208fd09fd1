"""Execute notebooks and save what they show: `make notebooks`, or some of them with `NB=nbs/...`.

Outputs are for readers, so they are small and hold nothing of this machine or this moment:
no paths, no memory addresses, no warnings. Cells tagged `measured` may show times.
Interactive figures get a picture too, for pages without scripts; that takes Chrome or Chromium.
"""

import ast, base64, hashlib, io, json, os, re, struct, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).parents[1]
NBS = ROOT / 'nbs'
LEFT_OUT = ()
NOTEBOOK, PICTURE = 300_000, 60_000  # bytes, at most
ROUND = (5, 10, 20, 30, 60, 90, 120, 180, 300)  # seconds that a notebook may be said to take
PLOTLY = 'application/vnd.plotly.v1+json'
# kaleido hands two threads each other's pictures
DRAWING = Lock()
SETTINGS = dict(
    OMP_NUM_THREADS='1',
    PYTHONHASHSEED='0',
    TQDM_DISABLE='1',
    PLOTLY_RENDERER='plotly_mimetype',
)
OFTEN = r'/(?:home|root|Users|tmp|var|work|mnt|opt)/[\w.-]+'
MACHINE = re.compile(rf'(?<![\w.]){OFTEN}|\b0x[0-9a-f]{{6,}}\b|[A-Z]:\\\\Users')


def source(cell):
    return ''.join(cell['source'])


def meaning(code):
    "What Python reads: line breaks and comments are nothing to it; magics stay as they are"
    try:
        return ast.unparse(ast.parse(code))
    except SyntaxError:
        return code


def code_hash(notebook):
    "What saved outputs belong to: what all code cells do"
    code = [meaning(source(c)) for c in notebook['cells'] if c['cell_type'] == 'code']
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def books():
    "Notebooks in the order of reading, relative to nbs/"
    found = [p.relative_to(NBS) for p in NBS.rglob('*.ipynb')]
    found = [p.as_posix() for p in found if '.ipynb_checkpoints' not in p.parts]
    return sorted(b for b in found if b not in LEFT_OUT)


def text_of(output):
    "Everything of an output that can be read, pictures left out"
    if output['output_type'] == 'stream':
        return ''.join(output['text'])
    kept = {k: v for k, v in output.get('data', {}).items() if not k.startswith('image/')}
    return json.dumps(kept, ensure_ascii=False)


def size_of(figure):
    "Width and height of a plotly figure's picture, pixels"
    layout = figure.get('layout', {})
    return layout.get('width', 700), layout.get('height', 420)


def png_size(data):
    "Width and height of a PNG in base64, from its header"
    return struct.unpack('>II', base64.b64decode(data[:32])[16:24])


def complaints(notebook):
    "What is wrong with saved outputs: sentences"
    found = []
    for number, cell in enumerate(notebook['cells']):
        for output in cell.get('outputs', []):
            if hit := MACHINE.search(text_of(output)):
                found.append(f'cell {number} shows {hit[0]}')
            pictures = [k for k in output.get('data', {}) if k.startswith('image/')]
            for kind in pictures:
                size = len(output['data'][kind])
                if size > PICTURE * 4 / 3:
                    found.append(f'cell {number} has a picture of {size * 3 // 4000} kB')
            data = output.get('data', {})
            if PLOTLY in data and 'image/png' in data:
                if png_size(data['image/png']) != size_of(data[PLOTLY]):
                    found.append(f'cell {number} has the picture of another figure')
    size = len(json.dumps(notebook, indent=1, ensure_ascii=False).encode())
    if size > NOTEBOOK:
        found.append(f'the notebook has {size // 1000} kB')
    return found


def lighter(data, colours=256):
    "A PNG with so many colours at most, in base64, where that is smaller"
    from PIL import Image

    raw = base64.b64decode(data)
    image = Image.open(io.BytesIO(raw)).convert('RGB')
    packed = io.BytesIO()
    image.quantize(colours).save(packed, 'png', optimize=True)
    smallest = min(raw, packed.getvalue(), key=len)
    return base64.b64encode(smallest).decode()


def picture_of(figure):
    "A plotly figure as PNG in base64, or nothing where there is no Chrome"
    import kaleido

    width, height = size_of(figure)
    with DRAWING:
        drawn = kaleido.calc_fig_sync(
            figure, opts=dict(format='png', width=width, height=height)
        )
    return base64.b64encode(drawn).decode()


def tidied(output, draw, cell):
    "An output of a cell (its number) as it is saved, or nothing"
    if output['output_type'] == 'stream' and output['name'] == 'stderr':
        return None
    output.pop('execution_count', None)
    data = output.get('data', {})
    if len(data) > 1 and 'text/plain' in data:
        data['text/plain'] = re.sub(r' at 0x[0-9a-f]+', '', data['text/plain'])
    if draw and PLOTLY in data:
        data['image/png'] = picture_of(data[PLOTLY])
    if 'image/png' in data:
        data['image/png'] = lighter(data['image/png'], 24 if PLOTLY in data else 256)
    if 'text/html' in data:
        # pandas gives every styled table a random name
        named = dict.fromkeys(re.findall(r'\bT_[0-9a-f]{5}\b', data['text/html']))
        for number, name in enumerate(named):
            data['text/html'] = data['text/html'].replace(name, f'T_{cell}_{number}')
    if output['output_type'] == 'execute_result':
        output['execution_count'] = None
    return output


def executed(book):
    "The notebook with fresh outputs; raises what a cell raised"
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NBS / book, 4)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str((NBS / book).parent))),
    )
    client.execute()
    return notebook


def time_of(seconds, before=None):
    "About how long a notebook takes, in round seconds; what was said before stays unless it is off by half"
    if before and before / 2 < seconds < before * 2:
        return before
    return next((round_ for round_ in ROUND if seconds <= 1.2 * round_), ROUND[-1])


def save(book, notebook, draw, seconds):
    "Write what a notebook shows, or refuse with a list of what must not be shown"
    for number, cell in enumerate(notebook['cells']):
        if cell['cell_type'] != 'code':
            continue
        tidy = [tidied(o, draw, number) for o in cell['outputs']]
        cell.update(outputs=[o for o in tidy if o], execution_count=None)
        cell['metadata'].pop('execution', None)
    wrong = complaints(notebook)
    if wrong:
        return wrong
    kept = json.loads((NBS / book).read_text())
    if code_hash(kept) != code_hash(notebook):
        return ['it was changed while it ran']
    for cell, shown in zip(kept['cells'], notebook['cells']):
        if cell['cell_type'] == 'code':
            cell['outputs'] = shown['outputs']
    about = kept['metadata']
    about |= dict(outputs_of=code_hash(kept), seconds=time_of(seconds, about.get('seconds')))
    text = json.dumps(kept, sort_keys=True, indent=1, ensure_ascii=False) + '\n'
    part = (NBS / book).with_suffix('.part')
    part.write_text(text)
    part.replace(NBS / book)
    return []


def has_chrome():
    "Whether figures can be drawn; starts the browser that draws them"
    import kaleido, plotly.graph_objects as go

    try:
        kaleido.start_sync_server(n=1)
        kaleido.calc_fig_sync(go.Figure(), opts=dict(format='png'))
        return True
    except Exception as reason:
        print(f'Interactive figures get no picture: {type(reason).__name__}')
        return False


def one(book, draw):
    "Execute and save a notebook; what is wrong with it"
    start = time.perf_counter()
    try:
        notebook = executed(book)
    except Exception as error:
        lines = re.sub(r'\x1b\[[\d;]*m', '', str(error)).strip().splitlines()
        return ['\n'.join(lines[-12:])], time.perf_counter() - start
    seconds = time.perf_counter() - start
    return save(book, notebook, draw, seconds), seconds


def main(names):
    os.environ.update(SETTINGS)
    wanted = [Path(n).resolve().relative_to(NBS).as_posix() for n in names] or books()
    draw = has_chrome()
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for book, (wrong, seconds) in zip(wanted, pool.map(lambda b: one(b, draw), wanted)):
            failed += bool(wrong)
            print(
                f'{"failed" if wrong else "saved"} {book}, {seconds:.0f} s', *wrong, sep='\n  '
            )
            sys.stdout.flush()
    sys.exit(f'{failed} of {len(wanted)} notebooks were not saved' if failed else 0)


if __name__ == '__main__':
    main(sys.argv[1:])
