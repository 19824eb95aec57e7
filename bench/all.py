"""Run the benchmarks that need no long watch, and write their pages: python bench/all.py [NAME …].

About ten minutes on two quiet cores. late.py (hours) and fuzz.py have commands of their own. A program that fails
leaves its page as it was.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("block_cost", "gradients", "render_speed", "startup")


def main() -> None:
    failed = []
    for name in sys.argv[1:] or NAMES:
        print(name, file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
        else:
            (HERE / f"{name.upper()}.md").write_text(done.stdout)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
