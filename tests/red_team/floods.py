"""Floods of processes, memory, files, output and answers; each bounded by itself."""

from red_team.submission import SWAPPED, Item, swapped

NOT_ALLOWED = "crashed error"  # stopped by the kernel, or else by the keeper
STOPPED = "failed error crashed memory timeout load_error"


def flood(
    name: str, code: str, statuses=STOPPED, says="", most=SWAPPED, **more
) -> Item:
    return Item(name, swapped(meanwhile=code), most, statuses, says, **more)


FORKS = """
for _ in range(200):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
"""
DOUBLE_FORKS = """
for _ in range(100):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(20)
        os._exit(0)
    os.wait()
"""
NESTED_FORKS = """
for _ in range(60):
    if os.fork():
        time.sleep(20)
        os._exit(0)
"""
THREADS = """
for _ in range(500):
    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
"""
MEMORY = """
held = []
for _ in range(64):
    held.append(bytes(1 << 25))
"""
TENSOR = "held = [torch.ones(1 << 26) for _ in range(8)]"
SHARED = """
held = []
for _ in range(8):
    held.append(mmap.mmap(-1, 256 << 20))
    held[-1].write(b'x' * (256 << 20))
"""
SEGMENTS = """
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
for key in range(4):
    segment = libc.shmget(0x1D9000 + key, 1 << 20, 0o1666)
    place = libc.shmat(segment, None, 0)
    if place not in (None, 2**64 - 1):
        ctypes.memset(place, 1, 1 << 20)
"""
BIG_FILE = """
with open('big', 'wb') as file:
    for _ in range(256):
        file.write(bytes(1 << 20))
"""
SMALL_FILES = """
for number in range(20_000):
    with open(f'{number}', 'wb') as file:
        file.write(b'x')
"""
BIG_FILES = """
for number in range(100):
    with open(f'{number}', 'wb') as file:
        file.write(bytes(3 << 20))
"""
DEEP_FOLDERS = """
for _ in range(5000):
    os.mkdir('d')
    os.chdir('d')
"""
LONG_FOLDERS = """
for _ in range(40):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
for number in range(5000):
    open(f'{number}', 'w').close()
time.sleep(1)
"""
HIDDEN_FILES = """
os.mkdir('hidden')
os.chdir('hidden')
os.chmod('.', 0o300)
for number in range(2000):
    with open(f'{number}', 'wb') as file:
        file.write(bytes(1 << 16))
time.sleep(1)
"""
CLOSED_FOLDERS = """
os.makedirs('a/b/c')
for path in ('a/b/c', 'a/b', 'a'):
    open(path + '/file', 'w').close()
    os.chmod(path, 0)
"""
RESERVED = """
libc = ctypes.CDLL(None)
with open('big', 'wb') as file:
    for place in range(64):
        start, length = ctypes.c_long(place << 24), ctypes.c_long(1 << 24)
        libc.fallocate(file.fileno(), 1, start, length)
time.sleep(0.3)
if os.stat('big').st_blocks > 1 << 16:
    raise LookupError('planted secret: 32 MiB')
"""
UNLINKED = """
held = []
for number in range(100):
    held.append(open('held', 'wb'))
    held[-1].write(bytes(3 << 20))
    held[-1].flush()
    os.unlink('held')
time.sleep(0.3)
"""
FORKED_MEMORY = """
for _ in range(4):
    if os.fork() == 0:
        held = bytes(200 << 20)
        time.sleep(20)
        os._exit(0)
time.sleep(1)
"""
SHARED_FILES = """
held = [os.memfd_create('held') for _ in range(20)]
for one in held:
    os.write(one, bytes(4 << 20))
"""
LINKS = """
os.symlink('/', 'root')
os.symlink('.', 'here')
os.mkfifo('pipe')
"""
DESCRIPTORS = "held = [open(os.devnull) for _ in range(5000)]"
OUTPUT = """
for stream in (sys.stdout, sys.stderr, sys.__stdout__):
    for _ in range(20):
        stream.write('x' * (1 << 20))
for number in (0, 1, 2):
    for _ in range(20):
        os.write(number, b'x' * (1 << 20))
"""
LARGE = "return (pw.sum() * 0).expand(200_000)"
VAST = "return (pw.sum() * 0).expand(1 << 39)"
VAST_AND_EMPTY = "return torch.zeros(1 << 39, 0) + pw.sum()"
DIMENSIONS = "return pw.sum().reshape([1] * 40)"
BIG_NUMBER = "return 10 ** 5000"
NAME = "return type('T' * 100_000, (), {})()"

ITEMS = [
    flood("h01 forks.py", FORKS, NOT_ALLOWED, "processes", most=0),
    flood("h02 double forks.py", DOUBLE_FORKS, NOT_ALLOWED, "processes", most=0),
    flood("h03 nested forks.py", NESTED_FORKS, NOT_ALLOWED, "", most=0),
    flood("h04 threads.py", THREADS, "failed error memory"),
    flood("h05 memory.py", MEMORY, "memory", "memory", most=0),
    flood("h06 tensors.py", TENSOR, "memory timeout", "", most=0),
    flood("h07 shared memory.py", SHARED, "memory error timeout", ""),
    flood("h08 segments.py", SEGMENTS, "failed crashed", level="strong"),
    flood("h09 big file.py", BIG_FILE, "error crashed", "", most=0),
    flood("h10 small files.py", SMALL_FILES, "crashed", "files", most=0),
    flood("h11 big files.py", BIG_FILES, "crashed", "files", most=0),
    flood("h12 deep folders.py", DEEP_FOLDERS, "crashed error", "", most=0),
    flood("h13 long folders.py", LONG_FOLDERS, "crashed", "files", most=0),
    flood("h14 hidden files.py", HIDDEN_FILES, NOT_ALLOWED, "files", most=0),
    flood("h15 closed folders.py", CLOSED_FOLDERS, "failed crashed error"),
    flood("h16 links.py", LINKS, "failed error crashed"),
    flood("h17 descriptors.py", DESCRIPTORS, "error", "OSError", most=0),
    flood("h18 output.py", OUTPUT, "failed", "does not hold"),
    flood("h19 large answer.py", LARGE, "failed", "shape", most=0),
    flood("h20 vast answer.py", VAST, "failed error memory", "", most=0),
    flood("h21 vast and empty.py", VAST_AND_EMPTY, "failed", "shape", most=0),
    flood("h22 dimensions.py", DIMENSIONS, "failed crashed", "", most=0),
    flood("h23 big number.py", BIG_NUMBER, "error", "OverflowError", most=0),
    flood("h24 name.py", NAME, "failed", "TTT", most=0),
    flood("h26 reserved.py", RESERVED),
    flood("h27 unlinked.py", UNLINKED, NOT_ALLOWED, "", most=0),
    flood("h28 forked memory.py", FORKED_MEMORY, NOT_ALLOWED, "", most=0),
    flood("h29 memory files.py", SHARED_FILES, "crashed error memory", "", most=0),
    flood("h25 memory error.py", "raise MemoryError", "memory", "memory", most=0),
]
