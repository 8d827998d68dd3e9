#!/usr/bin/env bash
# Numba 0.68.1: a function compiled with cache=True is kept by its own file's date and size, its bytecode and the types of its
# arguments. A named tuple's type names the class, not its fields. Swap two fields of one type in the module that defines the
# class, and the kept machine code still reads them by their old places: 5 - 3 is -2, with no warning.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install --quiet numba==0.68.1 numpy==2.4.0
export NUMBA_CACHE_DIR="$work/cache" PYTHONDONTWRITEBYTECODE=1

cat > pair.py <<'PY'
from typing import NamedTuple

class Pair(NamedTuple):
    first: int
    second: int
PY
cat > kernel.py <<'PY'
import numba
from pair import Pair

@numba.njit(cache=True)
def difference(pair):
    return pair.first - pair.second

print(numba.__version__, difference(Pair(first=5, second=3)))
PY
before=$(env/bin/python kernel.py)
cat > pair.py <<'PY'
from typing import NamedTuple

class Pair(NamedTuple):
    second: int
    first: int
PY
after=$(env/bin/python kernel.py)
rm -r "$work/cache"
anew=$(env/bin/python kernel.py)
printf 'as defined:      %s\nfields swapped:  %s\ncache deleted:   %s\n' "$before" "$after" "$anew"
[ "$before" = "0.68.1 2" ] && [ "$after" = "0.68.1 -2" ] && [ "$anew" = "0.68.1 2" ]
