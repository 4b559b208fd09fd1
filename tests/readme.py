"""README.md is what nbs/index.ipynb says and shows: `python tests/readme.py` writes it."""

import base64, json, re
from pathlib import Path

ROOT = Path(__file__).parents[1]
INDEX = ROOT / 'nbs' / 'index.ipynb'
PICTURE = 'nbs/index.png'


def shown(cell):
    "What a code cell without its code shows: text as it is, its picture as a file"
    source = ''.join(cell['source'])
    alt = re.search(r'^#\| fig-alt: (.+)', source, re.M)
    for output in cell['outputs']:
        data = output.get('data', {})
        if 'text/markdown' in data:
            yield ''.join(data['text/markdown'])
        elif 'image/png' in data:
            yield f'![{alt[1]}]({PICTURE})'


def picture():
    "The picture of the first screen"
    for cell in json.loads(INDEX.read_text())['cells']:
        for output in cell.get('outputs', []):
            if 'image/png' in output.get('data', {}):
                return base64.b64decode(''.join(output['data']['image/png']))


def readme():
    "Markdown cells as they are, and what code cells show"
    found = []
    for cell in json.loads(INDEX.read_text())['cells']:
        source = ''.join(cell['source']).strip()
        if cell['cell_type'] == 'markdown':
            found.append(source)
        elif '#| echo: false' in source:
            found += shown(cell)
    return '\n\n'.join(found) + '\n'


if __name__ == '__main__':
    (ROOT / 'README.md').write_text(readme())
    (ROOT / PICTURE).write_bytes(picture())
