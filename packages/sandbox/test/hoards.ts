// Python programs that try to hold some 400 MiB, or to spend seconds of CPU time, where no process is charged for it. Each
// says how far it came: `HELD <MiB>` or `SPENT <seconds>`.
const fork = (count: number, child: string, seconds = 2): string => `
import os, time
for _ in range(${count}):
    if os.fork() == 0:
        mib = 0
${child.replace(/^/gm, "        ")}
        os.write(1, b'HELD %d\\n' % mib)
        time.sleep(${seconds})
        os._exit(0)
for _ in range(${count}): os.wait()
`;

/** Of memory. A program may be ended, or come to an end, but not hold what is more than its limit. */
export const memoryHoards: Readonly<Record<string, string>> = {
  memfd: `
import os
for i in range(24):
    file = os.memfd_create('x')
    for _ in range(20): os.write(file, b'x' * (1 << 20))
    print('HELD', 20 * (i + 1))`,
  "System V memory": `
import ctypes
c = ctypes.CDLL(None)
c.shmat.restype = ctypes.c_void_p
c.shmdt.argtypes = [ctypes.c_void_p]
for i in range(24):
    key = c.shmget(0, 20 << 20, 0o1600)
    if key < 0: break
    at = c.shmat(key, None, 0)
    ctypes.memset(at, 1, 20 << 20)
    c.shmdt(at)
    print('HELD', 20 * (i + 1))`,
  "empty files": `
import os
for i in range(400000):
    os.close(os.open('/tmp/%d' % i, os.O_CREAT | os.O_WRONLY))
    if i % 1024 == 0: print('HELD', i // 1024)`,
  "names of files": `
import os
for i in range(400000):
    os.symlink('y' * 120, '/dev/shm/%d' % i)
    if i % 1024 == 0: print('HELD', i // 1024)`,
  "a file system of its own": `
import ctypes, os
c = ctypes.CDLL(None)
if c.unshare(0x10020000) or c.mount(b'none', b'/tmp', b'tmpfs', 0, None): raise SystemExit
for i in range(24):
    with open('/tmp/%d' % i, 'wb') as f: f.write(b'x' * (20 << 20))
    print('HELD', 20 * (i + 1))`,
  "children that each hold a little": fork(12, "a = bytearray(b'x') * (40 << 20)\nmib = 480"),
  "shared memory that is no longer mapped in": fork(
    12,
    "import mmap\nm = mmap.mmap(-1, 40 << 20)\nfor i in range(0, 40 << 20, 4096): m[i] = 1\nm.madvise(mmap.MADV_DONTNEED)\nmib = 480",
  ),
};

/** Of memory that the kernel holds for a program: only a control group counts it. */
export const kernelHoards: Readonly<Record<string, string>> = {
  sockets: fork(
    16,
    `import socket
pairs = []
sent = 0
try:
    while True:
        a, b = socket.socketpair()
        a.setblocking(False)
        pairs.append((a, b))
        try:
            while True: sent += a.send(b'x' * 60000)
        except BlockingIOError: pass
except OSError: pass
mib = 16 * sent >> 20`,
  ),
  "network sockets": `
import socket
listener = socket.create_server(('127.0.0.1', 0), backlog=50)
pairs = []
sent = 0
for _ in range(110):
    a = socket.create_connection(listener.getsockname())
    pairs.append((a, listener.accept()))
    a.setblocking(False)
    try:
        while True: sent += a.send(b'x' * 60000)
    except BlockingIOError: pass
    print('HELD', sent >> 20)`,
};

const burn = (seconds: number): string => `
        end = time.process_time() + ${seconds}
        while time.process_time() < end: pass
        os._exit(0)`;

/** Of time: 3 s in all, under a limit of 1. Each ends by itself and in good order. */
export const timeHoards: Readonly<Record<string, string>> = {
  "children that were waited for": `
import os, time
for _ in range(8):
    if os.fork() == 0:${burn(0.4)}
    os.wait()`,
  "children that nobody waits for": `
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:${burn(0.4)}
    try: os.wait()
    except ChildProcessError: pass`,
  "short children": `
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(300):
    if os.fork() == 0:${burn(0.01)}
    try: os.wait()
    except ChildProcessError: pass`,
  "grandchildren whose parents are gone": `
import os, time
for _ in range(8):
    if os.fork() == 0:
        if os.fork() == 0:${burn(0.4).replace(/^/gm, "    ")}
        os._exit(0)
    os.wait()
time.sleep(30)`,
  threads: `
import hashlib, threading
def work():
    for _ in range(700): hashlib.sha256(b'x' * (1 << 20)).digest()
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()`,
};
