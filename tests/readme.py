"""README.md is the text of nbs/index.ipynb: `python tests/readme.py` writes it."""

import json
from pathlib import Path


def readme(nb: Path) -> str:
    "Markdown cells as they are, code cells that are not hidden as code blocks"
    out = []
    for c in json.loads(nb.read_text())['cells']:
        s = ''.join(c['source']).strip()
        if c['cell_type'] == 'markdown':
            out.append(s)
        elif s and not s.startswith('#| hide'):
            out.append(
                '```python\n'
                + '\n'.join(l for l in s.splitlines() if not l.startswith('#|')).strip()
                + '\n```'
            )
    return '\n\n'.join(out) + '\n'


if __name__ == '__main__':
    root = Path(__file__).parents[1]
    (root / 'README.md').write_text(readme(root / 'nbs' / 'index.ipynb'))
