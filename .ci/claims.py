"""Do the verdicts of a fresh measurement agree with the stored ones? Exit 1 where they do not.

python .ci/claims.py measured.json
"""

import sys

from bnlib.claims import ledger


def main(path):
    stored, measured = ledger(), ledger(path)
    differ = 0
    for name, entry in stored.items():
        again = measured[name]
        same = bool(entry.rows and again.rows) and again.verdict == entry.verdict
        differ += not same
        print(f"{'  ' if same else '! '}{name}: {entry.verdict}, again {again.verdict}")
    sys.exit(f".ci/claims.py: {differ} of {len(stored)} verdicts differ" if differ else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
