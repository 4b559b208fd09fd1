"""Public parameters without a comment: `python tests/docments.py [MODULE...]`."""

import dataclasses, inspect, sys
from importlib import import_module
from pathlib import Path
from fastcore.docments import docments

ROOT = Path(__file__).parents[1]


def modules():
    files = (p.relative_to(ROOT) for p in (ROOT / 'duiit').rglob('*.py'))
    names = sorted('.'.join(f.with_suffix('').parts) for f in files)
    return [n for n in names if not n.split('.')[-1].startswith('_') and n != 'duiit.all']


def public(module):
    "(name, function or class) of what a module defines for others, methods too"
    for name in module.__all__:
        thing = getattr(module, name, None)
        if getattr(thing, '__module__', '') != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        if inspect.isclass(thing):
            yield name, thing
            for key, method in vars(thing).items():
                if inspect.isfunction(method) and not key.startswith('_'):
                    yield f'{name}.{key}', method


def parameters(thing):
    "The parameters that a caller gives"
    if inspect.isclass(thing) and issubclass(thing, tuple):
        return list(thing._fields)
    if inspect.isclass(thing) and not inspect.isfunction(thing.__init__):
        return []
    if inspect.isclass(thing) and '__init__' not in vars(thing):
        return []  # that of its base class
    given = inspect.signature(thing).parameters.values()
    named = [p.name for p in given if p.kind is not p.VAR_KEYWORD]
    return [name for name in named if name not in ('self', 'cls')]


def fields(thing):
    "Fields of a named tuple that have a comment"
    lines = inspect.getsource(thing).splitlines()
    return {line.split(':')[0].strip() for line in lines if ':' in line and '#' in line}


def explained(thing):
    "Parameters that have a comment"
    if inspect.isclass(thing) and issubclass(thing, tuple):
        return fields(thing)
    if inspect.isclass(thing) and not dataclasses.is_dataclass(thing):
        thing = thing.__init__
    try:
        comments = docments(thing, returns=False)
    except (TypeError, OSError):
        return set()
    return {name for name, comment in comments.items() if comment}


def missing(name):
    "(parameters, those without a comment) of a module"
    module = import_module(name)
    count, without = 0, []
    for label, thing in public(module):
        given = parameters(thing)
        count += len(given)
        known = explained(thing) if given else set()
        without += [f'{label}({p})' for p in given if p not in known]
    return count, without


if __name__ == '__main__':
    total = bare = 0
    for name in sys.argv[1:] or modules():
        count, without = missing(name)
        total, bare = total + count, bare + len(without)
        print(f'{name}: {count - len(without)} of {count}', *without, sep='\n  ')
    print(f'{100 * (1 - bare / max(total, 1)):.0f} % of {total} parameters are explained')
