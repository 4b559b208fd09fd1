"""How the notebooks' code reads, in numbers: `make style`. It shows a direction and fails nothing."""

import ast, io, json, re, sys, tokenize
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).parents[1]


def source(cell):
    return ''.join(cell['source'])


def code_of(cell):
    "A cell's lines that hold something, without directives and magics"
    lines = source(cell).splitlines()
    return [l for l in lines if l.strip() and not l.startswith(('#|', '%', '!'))]


def semicolons(cell):
    "How often a line holds two statements; a `;` in a text or a comment is none"
    text = io.StringIO('\n'.join(code_of(cell)))
    try:
        return sum(
            t.type == tokenize.OP and t.string == ';'
            for t in tokenize.generate_tokens(text.readline)
        )
    except (tokenize.TokenError, SyntaxError):
        return 0  # no Python


COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def is_nested(node):
    "Whether a comprehension holds another one, or runs over two things"
    if not isinstance(node, COMPREHENSIONS):
        return False
    inner = [n for n in ast.walk(node) if n is not node]
    return len(node.generators) > 1 or any(isinstance(n, COMPREHENSIONS) for n in inner)


def is_named_lambda(node):
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)


def tree_of(cell):
    try:
        return ast.parse('\n'.join(code_of(cell)))
    except SyntaxError:
        return ast.parse('')


def counted(cells, wanted):
    return sum(wanted(n) for c in cells for n in ast.walk(tree_of(c)))


def is_picture(output):
    return any(k.startswith('image/') for k in output.get('data', {}))


def undocumented(cell):
    "Public parameters of an exported cell: (how many, names of those without a comment)"
    lines, count, missing = source(cell).splitlines(), 0, []
    for node in ast.parse('\n'.join(lines)).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith('_'):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            if argument.arg == 'self':
                continue
            count += 1
            end = max(argument.end_lineno, argument.lineno)
            above = lines[argument.lineno - 2].strip()
            beside = lines[end - 1][argument.end_col_offset :]
            if '#' not in beside and not above.startswith('#'):
                missing.append(f'{node.name}({argument.arg})')
    return count, missing


def statistics(books):
    "Statistics of a list of notebooks' files: name -> number"
    cells = [c for b in books for c in json.loads(b.read_text())['cells']]
    code = [c for c in cells if c['cell_type'] == 'code' and code_of(c)]
    exported = [c for c in code if re.search(r'^#\| export', source(c), re.M)]
    lines = [l for c in code for l in code_of(c)]
    led, before = 0, {}
    for c in cells:
        led += c in exported and before.get('cell_type') == 'markdown'
        before = c
    prose = sum(len(source(c)) for c in cells if c['cell_type'] == 'markdown')
    documented = [undocumented(c) for c in exported]
    parameters = sum(n for n, _ in documented)
    bare = sum(len(m) for _, m in documented)
    outputs = [o for c in code for o in c['outputs']]

    def over(width):
        return 100 * mean(len(l) > width for l in lines)

    return {
        'lines of code': len(lines),
        'characters a line, mean': mean(map(len, lines)),
        '% over 100': over(100),
        '% over 120': over(120),
        '% over 160': over(160),
        'statements after a ;': sum(map(semicolons, code)),
        'nested comprehensions': counted(code, is_nested),
        'lambdas with a name': counted(code, is_named_lambda),
        'lines a code cell, median': median(len(code_of(c)) for c in code),
        'lines an exported cell, median': median(len(code_of(c)) for c in exported)
        if exported
        else 0,
        'lines an exported cell, max': max((len(code_of(c)) for c in exported), default=0),
        '% of exported cells led by prose': 100 * led / max(len(exported), 1),
        '% of characters that are prose': 100 * prose / (prose + sum(map(len, lines))),
        'saved outputs': len(outputs),
        'pictures': sum(map(is_picture, outputs)),
        '% of parameters with a docment': 100 * (1 - bare / max(parameters, 1)),
    }


def books_of(folder):
    return sorted(p for p in folder.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def main(folder=ROOT / 'nbs'):
    by_room = {}
    for book in books_of(Path(folder)):
        by_room.setdefault(book.parent.relative_to(folder).as_posix(), []).append(book)
    columns = {'all': books_of(Path(folder))} | by_room
    table = {name: statistics(books) for name, books in columns.items()}
    print(' ' * 34 + ''.join(f'{n:>10}' for n in table))
    for row in table['all']:
        print(f'{row:34}' + ''.join(f'{table[n][row]:10.0f}' for n in table))


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
