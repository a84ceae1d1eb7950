"""Leaving early, never ending, crashing, and errors that are hard to tell of."""

from submitted import LOSS, notebook

from red_team.honest import first
from red_team.submission import Item, swapped

ENDED = "crashed load_error error"
LATE = "timeout"


def at_import(name: str, code: str, statuses=ENDED, says="ended") -> Item:
    """A file that cannot be loaded has no function, and no points."""
    return Item(name, swapped(before=code), 0, statuses, says)


def in_call(name: str, code: str, statuses=ENDED, says="ended") -> Item:
    return Item(name, swapped(meanwhile=code), 0, statuses, says)


RECURSION = """
def dpo_loss(pw, pl, rw, rl, beta):
    return dpo_loss(pw, pl, rw, rl, beta)
"""
GENERATOR = """
def dpo_loss(pw, pl, rw, rl, beta):
    while True:
        yield 0.6931
"""
SWALLOW = """
while True:
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        pass
"""
NO_ALARM = """
for number in range(1, 65):
    with suppress(OSError, ValueError):
        signal.signal(number, lambda *_: None)
signal.setitimer = lambda *_: (0, 0)
while True:
    time.sleep(0.01)
"""
ODD_ERROR = """
class Odd(Exception):
    def __str__(self):
        raise ValueError
raise Odd
"""
LONG_NAME = "raise type('E' * 5000, (Exception,), {})('e' * 5000)"
LETTERS = "raise ValueError('🙂' * 3000)"
LONG_LINE = LOSS.replace("beta *", "beta * " + "1.0 * " * 200 + "pw.no_such_method() *")
MARKUP = "raise ValueError('<script>alert(1)</script>\\x1b[2J\\r\\n=1+1')"
LATE_AT_SEVEN = "if len(pw) == 7: time.sleep(1000)"
RIGHT_BUT_LATE = "import time\n" + first("while len(pw) == 7: time.sleep(0.01)")
PATHS = """
raise ValueError(f'{torch.__file__} {sys.prefix} {sys._getframe(1).f_code.co_filename} '
                 f'{sys.path} {os.getcwd()}')
"""
DEADLOCK = "lock = threading.Lock()\nlock.acquire()\nlock.acquire()"
STACK = """
sys.setrecursionlimit(10**9)
def deeper(x): return list(map(deeper, [x]))
deeper(1)
"""
SHELL = notebook(swapped(meanwhile="get_ipython().system('ls')"))
NOT_MADE = swapped(before=LETTERS).replace(", ready=ready", "")
NOT_MADE = NOT_MADE.replace("found = ", "found = ready or ")

ITEMS = [
    at_import("f01 exits.py", "sys.exit(0)", says="SystemExit"),
    at_import("f02 os exits.py", "os._exit(0)", says="exit"),
    at_import("f03 quits.py", "raise SystemExit('bye')", says="SystemExit"),
    at_import("f04 interrupts.py", "raise KeyboardInterrupt", says="KeyboardInterrupt"),
    at_import("f05 raises.py", "raise BaseException('no')", says="BaseException"),
    at_import("f06 loops.py", "while True: time.sleep(0.01)", LATE, "loop"),
    at_import("f07 swallows.py", SWALLOW, LATE, "loop"),
    at_import(
        "f08 kills itself.py", "os.kill(os.getpid(), 9)", "memory crashed", "loaded"
    ),
    at_import("f09 letters.py", LETTERS, "load_error", "🙂"),
    at_import("f10 long name.py", LONG_NAME, "load_error", "EEE"),
    in_call("g01 exits.py", "sys.exit(0)", says="SystemExit"),
    in_call("g02 os exits.py", "os._exit(0)", says="exit code 0"),
    in_call("g03 os exits 70.py", "os._exit(70)", says="exit code 70"),
    in_call("g04 interrupts.py", "raise KeyboardInterrupt", says="KeyboardInterrupt"),
    in_call("g05 generator exit.py", "raise GeneratorExit", says="GeneratorExit"),
    in_call("g06 loops.py", "while True: pass", LATE, "loop"),
    in_call("g07 swallows.py", SWALLOW, LATE, "loop"),
    in_call("g08 no alarm.py", NO_ALARM, LATE, "loop"),
    in_call("g09 sleeps.py", "time.sleep(1000)", LATE, "loop"),
    in_call("g10 deadlock.py", DEADLOCK, LATE, "loop"),
    in_call(
        "g11 stops itself.py", "os.kill(os.getpid(), signal.SIGSTOP)", LATE, "loop"
    ),
    Item("g12 late at seven.py", swapped(meanwhile=LATE_AT_SEVEN), least=0.3),
    Item("g31 right but late.py", RIGHT_BUT_LATE, 1, LATE, "loop", least=0.8),
    in_call("g13 segfault.py", "ctypes.string_at(0)", "crashed", "crashed"),
    in_call("g14 abort.py", "os.abort()", "crashed", "crashed"),
    in_call("g15 stack.py", STACK, "crashed memory error timeout", ""),
    Item("g16 recursion.py", RECURSION, 0, "error", "recursion"),
    Item("g17 generator.py", GENERATOR, 0, "failed", "generator"),
    Item("g18 async.py", LOSS.replace("def", "async def"), 0, "failed", "coroutine"),
    in_call("g19 odd error.py", ODD_ERROR, "error", "Odd"),
    in_call("g20 long name.py", LONG_NAME, "error", "EEE"),
    in_call("g21 letters.py", LETTERS, "error", "🙂"),
    Item("g22 long line.py", LONG_LINE, 0, "error", "no_such_method"),
    in_call("g23 markup.py", MARKUP, "error", "ValueError"),
    in_call("g24 tells paths.py", PATHS, "error", "ValueError"),
    in_call("g25 input.py", "input('beta? ')", "error", "input()"),
    Item("g26 notebook.ipynb", SHELL, 0, "error", "notebook's own command"),
    in_call("g27 reads stdin.py", "sys.stdin.read(); raise EOFError", "error", "EOF"),
    in_call("g28 missing file.py", "open('/data/mine/beta.csv')", "error", "beta.csv"),
    in_call(
        "g29 not implemented.py",
        "raise NotImplementedError",
        "not_attempted",
        "handed out",
    ),
    Item("g30 letters and name.py", NOT_MADE, 0, "error", "🙂"),
]
