"""Looking for the answer, for secrets and for a way out."""

from submitted import LOSS

from red_team.submission import SWAPPED, Item, swapped

TRIED = "failed error crashed load_error"


def spy(name: str, code: str, level="landlock", says="", most=SWAPPED, **more) -> Item:
    """Code at import; a function called `stolen` answers in place of its own."""
    uses = "return stolen(pw, pl, rw, rl, beta) if stolen else None"
    whole = swapped(before="global stolen\nstolen = None\n" + code, meanwhile=uses)
    return Item(name, whole, most, TRIED, says, level=level, **more)


def importing(name: str, line: str, says="") -> Item:
    """A page that uses the course's own function as its own."""
    return Item(name, line, 0, f"{TRIED} missing", says)


FRAMES = """
def look():
    frame = sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            for name, value in list(names.items()):
                if callable(value) and 'loss' in getattr(value, '__name__', ''):
                    if value.__module__ != 'submission':
                        return value
                if name in ('reference', 'expected', '_expected', 'ours', 'exam'):
                    return lambda *_: value
        frame = frame.f_back
stolen = look()
"""
HEAP = """
gc.unfreeze()
for thing in gc.get_objects():
    if type(thing) is type(before) and thing.__module__ != 'submission':
        if thing.__name__ in ('dpo_loss', 'by_softplus', 'by_cross_entropy'):
            stolen = thing
    if type(thing).__name__ in ('Exercise', 'Examination', 'Check'):
        stolen = getattr(thing, 'reference', lambda *_: thing)
"""
MODULES = """
for module in list(sys.modules.values()):
    for name in ('dpo_loss', 'SOUND', 'BUGGY', 'EXERCISES'):
        if 'course' in getattr(module, '__name__', '') and name in vars(module):
            stolen = vars(module)[name]
"""
PROCESSES = """
for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
    try:
        text = pathlib.Path(path).read_bytes()
    except OSError:
        continue
    if b'COURSE_SECRET' in text or b'--seed-file' in text:
        raise LookupError(text.decode(errors='replace'))
if os.environ.get('COURSE_SECRET'):
    raise LookupError(os.environ['COURSE_SECRET'])
"""
MEMORY = """
parent = os.getppid()
with open(f'/proc/{parent}/maps') as maps, open(f'/proc/{parent}/mem', 'rb') as memory:
    for line in maps:
        start, _, end = line.split()[0].partition('-')
        memory.seek(int(start, 16))
        size = min(int(end, 16) - int(start, 16), 1 << 24)
        if b'planted secret' in memory.read(size):
            raise LookupError('planted secret')
"""
NO_FINDER = """
sys.meta_path[:] = [f for f in sys.meta_path if 'Shelves' not in type(f).__name__]
for name in [name for name in sys.modules if name.startswith('course_lib')]:
    del sys.modules[name]
sys.path.insert(0, '@COURSE@')
importlib.invalidate_caches()
from course_lib.losses import dpo_loss as stolen
"""
BY_PATH = """
import importlib.util
spec = importlib.util.spec_from_file_location('stolen', '@COURSE@/course_lib/losses.py')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stolen = module.dpo_loss
"""
EXECUTED = """
names = {'__name__': 'stolen', 'math': math, 'torch': torch, 'F': F}
with open('@COURSE@/course_lib/bugs.py') as file:
    source = file.read()
part = source[source.index('def by_softplus'):source.index('def by_cross_entropy')]
exec(part, names)
stolen = names['by_softplus']
"""
NOTEBOOK = """
with open('@COURSE@/solutions/04_dpo_loss.ipynb') as file:
    page = json.load(file)
for cell in page['cells']:
    source = ''.join(cell['source'])
    if source.startswith('def dpo_loss('):
        names = {'torch': torch, 'F': F}
        exec(source, names)
        stolen = names['dpo_loss']
"""
ARGUMENTS = """
told = json.loads(sys.argv[1] if len(sys.argv) > 1 else '{}')
told = told or json.loads(sys.orig_argv[-1])
""" + NOTEBOOK.replace("'@COURSE@/", "told['repository'] + '/")
HUNT = """
for folder in [*sys.path, os.getcwd(), '/usr/lib', sys.prefix]:
    for path, _, files in os.walk(folder):
        if 'anna.py' in files or 'losses.py' in files and 'course_lib' in path:
            raise LookupError('planted secret: ' + path)
        if path.count('/') > folder.count('/') + 3:
            break
"""
LINKED = """
os.symlink('@COURSE@/solutions/04_dpo_loss.ipynb', 'way')
""" + NOTEBOOK.replace("@COURSE@/solutions/04_dpo_loss.ipynb", "way")
HARD_LINKED = LINKED.replace("os.symlink", "os.link")
THROUGH_PROC = NOTEBOOK.replace("'@COURSE@", "'/proc/1/root@COURSE@")
DESCRIPTORS = """
for number in range(256):
    for way in (f'/proc/self/fd/{number}', f'/dev/fd/{number}'):
        try:
            target = os.readlink(way)
        except OSError:
            continue
        if 'course' in target and 'scratch' not in target:
            raise LookupError('planted secret: ' + target)
"""
OTHERS = """
with open('@CLASS_FOLDER@/all/anna.py') as file:
    names = {}
    exec(file.read(), names)
stolen = names['dpo_loss']
"""
CANARY = """
with open('@CANARY@') as file:
    raise LookupError(file.read())
"""
SEED = """
with open('@SEED_FILE@') as file:
    raise LookupError(file.read())
"""
TCP = """
with socket.create_connection(('127.0.0.1', @PORT@), 1) as line:
    line.sendall(b'stolen')
"""
UDP = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
    for _ in range(3):
        line.sendto(b'stolen', ('127.0.0.1', @PORT@))
"""
UNIX = """
with socket.socket(socket.AF_UNIX) as line:
    line.connect('@HOME@/talk')
    line.sendall(b'stolen')
"""
ABSTRACT = """
with socket.socket(socket.AF_UNIX) as line:
    line.connect('\\\\0course-red-team-@PORT@')
    line.sendall(b'stolen')
"""
NAMES = """
socket.getaddrinfo('example.org', 80)
"""
SERVE = """
with socket.create_server(('127.0.0.1', @PORT@ + 1)) as server:
    server.settimeout(0.3)
    server.accept()
"""
ROOT = """
libc = ctypes.CDLL(None, use_errno=True)
libc.unshare(0x10000000 | 0x00020000)
os.makedirs('new', exist_ok=True)
libc.mount(b'/', b'new', None, 4096 | 16384, None)
os.chdir('new')
if os.path.exists('.@CANARY@'):
    raise LookupError(pathlib.Path('.@CANARY@').read_text())
"""
PROGRAMS = """
for words in (['cat', '@CANARY@'], ['/bin/sh', '-c', 'cat @CANARY@'],
              [sys.executable, '-c', 'print(open("@CANARY@").read())']):
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=2).stdout
    except OSError:
        continue
    if said:
        raise LookupError(said)
"""
FROM_LOSSES = LOSS.partition("def")[0] + "from course_lib.losses import dpo_loss\n"

ITEMS = [
    importing("n01 imports.py", FROM_LOSSES, "not there"),
    importing("n02 imports the package.py", "from course_lib import dpo_loss\n", "not"),
    importing("n03 star.py", "from course_lib.losses import *\n", "no function"),
    importing(
        "n04 attribute.py", "import course_lib.losses as l\ndpo_loss = l.dpo_loss"
    ),
    importing(
        "n05 importlib.py",
        "import importlib\ndpo_loss = importlib.import_module("
        "'course_lib.losses').dpo_loss\n",
    ),
    importing(
        "n06 clinic.py",
        "from course_lib.bugs import SOUND\ndpo_loss = SOUND['loss'][1]\n",
        "not there",
    ),
    importing("n07 yours.py", "from course_lib import yours\ndpo_loss = yours('x')\n"),
    importing(
        "n08 calls.py",
        FROM_LOSSES.replace("dpo_loss", "dpo_loss as theirs")
        + "def dpo_loss(*given):\n    return theirs(*given)\n",
        "not there",
    ),
    spy("o01 frames.py", FRAMES, "process"),
    spy("o02 heap.py", HEAP, "process"),
    spy("o03 modules.py", MODULES, "process"),
    spy("o04 processes.py", PROCESSES),
    spy("o05 memory.py", MEMORY),
    spy("o06 no finder.py", NO_FINDER),
    spy("o07 by path.py", BY_PATH, says="Errno"),
    spy("o08 executed.py", EXECUTED, says="Errno"),
    spy("o09 notebook.py", NOTEBOOK, says="Errno"),
    spy("o10 arguments.py", ARGUMENTS),
    spy("o11 hunt.py", HUNT),
    spy("o12 linked.py", LINKED),
    spy("o13 hard linked.py", HARD_LINKED),
    spy("o14 through proc.py", THROUGH_PROC),
    spy("o15 descriptors.py", DESCRIPTORS),
    spy("o16 others.py", OTHERS, says="Errno"),
    spy("o17 canary.py", CANARY, says="Errno"),
    spy("o18 seed.py", SEED, says="Errno"),
    spy("o19 tcp.py", TCP),
    spy("o20 udp.py", UDP, "strong"),
    spy("o21 unix.py", UNIX, "strong"),
    spy("o22 abstract.py", ABSTRACT),
    spy("o23 names.py", NAMES, "process"),
    spy("o24 serve.py", SERVE),
    spy("o25 root.py", ROOT),
    spy("o26 programs.py", PROGRAMS),
]
