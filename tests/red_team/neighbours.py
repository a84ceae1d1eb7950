"""Attempts on the grader, its keeper of processes and the submissions that follow."""

from red_team.submission import Item, swapped

ANY = "failed error crashed timeout load_error memory"


def attempt(
    name: str, code: str, level="process", says="", statuses=ANY, **more
) -> Item:
    return Item(name, swapped(before=code), 2, statuses, says, level=level, **more)


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 32):
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        time.sleep(30)
    os._exit(0)
"""
OTHER_PROGRAM = """
words = [sys.executable, '-S', '-c', 'import time; time.sleep(30)']
subprocess.Popen(words, start_new_session=True, env={'HOME': os.environ['HOME']})
"""
THREAD = """
def stay():
    while True:
        time.sleep(0.01)
threading.Thread(target=stay).start()
"""
HELD_PIPES = """
if os.fork() == 0:
    os.setsid()
    time.sleep(30)
    os._exit(0)
for number in range(3, 64):
    with suppress(OSError):
        os.set_inheritable(number, True)
        os.dup(number)
"""
KEPT_SPEAKING = """
def speak():
    while True:
        for number in range(3, 20):
            with suppress(OSError):
                os.write(number, b'x' * 64)
        time.sleep(0.001)
threading.Thread(target=speak, daemon=True).start()
time.sleep(0.2)
"""
ANCESTORS = """
def parents():
    number = os.getppid()
    for _ in range(3):
        if number > 1:
            yield number
        try:
            told = pathlib.Path(f'/proc/{number}/stat').read_text()
        except OSError:
            return
        number = int(told.rpartition(')')[2].split()[1])
        if 'course_lib' not in pathlib.Path(f'/proc/{number}/cmdline').read_text():
            return
"""
KILL_KEEPER = "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.2)"
STOP_KEEPER = "os.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(0.2)"
KILL_GRADER = ANCESTORS + "for number in [*parents()]: os.kill(number, signal.SIGKILL)"
STOP_GRADER = ANCESTORS + "for number in [*parents()]: os.kill(number, signal.SIGSTOP)"
STARVE_KEEPER = """
keeper = os.getppid()
for name in ('RLIMIT_CPU', 'RLIMIT_DATA', 'RLIMIT_NOFILE', 'RLIMIT_NPROC'):
    kind = getattr(resource, name)
    resource.prlimit(keeper, kind, (32, 32))
"""
STARVE_GRADER = (
    ANCESTORS
    + "for number in [*parents()]:\n"
    + "    resource.prlimit(number, resource.RLIMIT_NOFILE, (8, 8))\n"
)
SLOW_KEEPER = """
keeper = os.getppid()
os.setpriority(os.PRIO_PROCESS, keeper, 19)
os.sched_setscheduler(keeper, os.SCHED_IDLE, os.sched_param(0))
"""
PRESS_KEEPER = """
keeper = os.getppid()
libc = ctypes.CDLL(None)
print(libc.ptrace(16, keeper, 0, 0))
with open(f'/proc/{keeper}/mem', 'r+b') as memory:
    memory.seek(0x400000)
    memory.write(b'x')
"""
DELETE = """
for folder, _, files in os.walk('@CLASS_FOLDER@'):
    for name in files:
        if name.startswith('victim'):
            os.remove(os.path.join(folder, name))
"""
OVERWRITE = """
for path in ('@CANARY@', '@CLASS_FOLDER@/victim.txt'):
    with open(path, 'w') as file:
        file.write('overwritten')
"""
HAND_IN = """
for name in ('zz planted.py', 'grades.csv', 'report.jsonl', 'gradebook.db'):
    with open('@CLASS_FOLDER@/' + name, 'w') as file:
        file.write('planted')
"""
PLANT = """
import sysconfig
folders = [sysconfig.get_path('purelib'), os.environ['HOME'], '.', '/tmp', '/dev/shm']
folders += [path for path in sys.path if os.path.isdir(path)]
for folder in folders:
    for name in ('red_team_planted.pth', 'red_team_planted.py'):
        with suppress(OSError):
            with open(os.path.join(folder, name), 'w') as file:
                file.write('# planted by a test\\n')
"""
SHADOW = """
for name in ('torch', 'json', 'sitecustomize', 'usercustomize', 'matplotlib', 'cmath'):
    for folder in ('.', os.environ['HOME'], '/tmp', '/dev/shm'):
        with suppress(OSError):
            with open(os.path.join(folder, name + '.py'), 'w') as file:
                file.write('raise SystemExit(\"shadowed\")\\n')
"""
NUMBERS = """
first = os.getpid()
for _ in range(37):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
"""
PRIVILEGES = """
libc, done = ctypes.CDLL(None), []
name = b'red-team-host'
done += ['name'] * (libc.sethostname(name, len(name)) == 0)
for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_STREAM):
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_UNIX):
        with suppress(OSError):
            socket.socket(family, kind).close()
            done.append('socket')
done += ['mount'] * (libc.mount(b'none', b'.', b'tmpfs', 0, None) == 0)
if 'name' in done or 'mount' in done:
    raise LookupError(f'planted secret: {done}')
"""
IMMUTABLE = """
import fcntl
with open('kept', 'w') as file:
    file.write('the answer')
    file.flush()
    fcntl.ioctl(file.fileno(), 0x40086602, struct.pack('l', 0x10))
"""
CACHE = """
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
done = []
with open(torch.__file__, 'rb') as file:
    number, page = file.fileno(), ctypes.create_string_buffer(1)
    with suppress(OSError):
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        done.append('let go')
    try:
        os.preadv(number, [bytearray(1)], 0, os.RWF_NOWAIT)
        done.append('asked')
    except BlockingIOError:
        done.append('asked')
    except OSError:
        pass
    held = libc.mmap(None, 4096, 1, 1, number, 0)
    if libc.mincore(ctypes.c_void_p(held), 4096, page) == 0:
        done.append('looked')
if done:
    raise LookupError(f'planted secret: {done}')
"""
CHMOD = """
for path in ('@CLASS_FOLDER@', '@CLASS_FOLDER@/victim.txt', '@HOME@'):
    with suppress(OSError):
        os.chmod(path, 0)
    with suppress(OSError):
        os.utime(path, (1, 1))
"""
LEAVE_WORD = """
found = []
for folder in ('/tmp', '/dev/shm', '/run', '/var/tmp', '/'):
    path = os.path.join(folder, 'red_team_word')
    with suppress(OSError):
        found += [path] * os.path.exists(path)
        with open(path, 'w') as file:
            file.write('the answer')
libc = ctypes.CDLL(None)
if libc.shmget(0x1D9999, 4096, 0) != -1:
    found.append('segment')
libc.shmget(0x1D9999, 4096, 0o1666)
arm = os.uname().machine == 'aarch64'
add_key, request_key, mq_open = (217, 218, 180) if arm else (248, 249, 240)
if libc.syscall(request_key, b'user', b'red_team', None, -4) != -1:
    found.append('key')
libc.syscall(add_key, b'user', b'red_team', b'the answer', 10, -4)
if libc.syscall(mq_open, b'red_team', 0, 0, None) != -1:
    found.append('queue')
libc.syscall(mq_open, b'red_team', os.O_CREAT, 0o600, None)
keeper, word = os.getppid(), 12344
for name in ('RLIMIT_STACK', 'RLIMIT_MSGQUEUE', 'RLIMIT_RTPRIO', 'RLIMIT_SIGPENDING'):
    kind = getattr(resource, name)
    found += [name] * (resource.getrlimit(kind)[0] == word)
    with suppress(OSError, ValueError):
        resource.prlimit(keeper, kind, (word, resource.prlimit(keeper, kind)[1]))
for folder in ('.', '..'):
    with suppress(OSError):
        found += os.listxattr(folder)
        os.setxattr(folder, 'user.red_team', b'the answer')
    found += [folder] * (os.stat(folder).st_mtime == 1937)
    with suppress(OSError):
        os.utime(folder, (1937, 1937))
with suppress(OSError):
    found += ['pace'] * (os.getpriority(os.PRIO_PROCESS, keeper) == 13)
    os.setpriority(os.PRIO_PROCESS, keeper, 13)
if found:
    raise LookupError(f'word from before: {found}')
"""

ITEMS = [
    attempt("i01 daemon.py", DAEMON),
    attempt("i02 other program.py", OTHER_PROGRAM),
    attempt("i03 thread.py", THREAD),
    attempt("i04 held pipes.py", HELD_PIPES),
    attempt("i05 speaks on.py", KEPT_SPEAKING, says="in place of a result"),
    attempt("i06 kill keeper.py", KILL_KEEPER),
    attempt("i07 stop keeper.py", STOP_KEEPER),
    attempt("i08 kill grader.py", KILL_GRADER, "landlock"),
    attempt("i09 stop grader.py", STOP_GRADER, "landlock"),
    attempt("i10 starve keeper.py", STARVE_KEEPER),
    attempt("i11 slow keeper.py", SLOW_KEEPER),
    attempt("i22 starve grader.py", STARVE_GRADER, "strong"),
    attempt("i12 press keeper.py", PRESS_KEEPER),
    attempt("i13 delete.py", DELETE, "landlock"),
    attempt("i14 overwrite.py", OVERWRITE, "landlock", "Errno"),
    attempt("i15 hand in.py", HAND_IN, "landlock", "Errno"),
    attempt("i16 plant.py", PLANT, "landlock"),
    attempt("i17 shadow.py", SHADOW, "landlock"),
    *(
        attempt(f"i{18 + n} word {n}.py", LEAVE_WORD, "landlock", "", "failed crashed")
        for n in range(3)
    ),
    *(attempt(f"i{23 + n} numbers {n}.py", NUMBERS, "landlock") for n in range(2)),
    attempt("i25 privileges.py", PRIVILEGES, "landlock"),
    attempt("i26 immutable.py", IMMUTABLE),
    attempt("i27 chmod.py", CHMOD),
    attempt("i28 cache.py", CACHE, statuses="failed"),
]
