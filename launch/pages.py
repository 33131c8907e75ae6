"""Memory in large pages, for commands that compute on CPU.

XLA takes its buffers anew in each step, and the kernel fills each 4 KB page of them with zeros when
it is first touched. Pages of 2 MB cost far less: a training of the small U-Net takes three quarters
of the time (docs/design.md). glibc asks for them where its tunable `glibc.malloc.hugetlb` is 1, and
reads that once, as a program starts.
"""

import os
import pathlib
import sys

_TUNABLES = 'GLIBC_TUNABLES'
_LARGE = 'glibc.malloc.hugetlb=1'
_KERNEL = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def use() -> None:
    """Starts this command again in the same process, with the tunable.

    Does nothing where it would not help: no glibc, a kernel that gives no large pages, or tunables
    that somebody has chosen (GLIBC_TUNABLES= leaves all as it is).
    """
    if _TUNABLES in os.environ or not _help():
        return
    os.environ[_TUNABLES] = _LARGE
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _help() -> bool:
    try:
        known = os.confstr('CS_GNU_LIBC_VERSION') or ''
        major, minor = known.removeprefix('glibc ').split('.')[:2]
        return (int(major), int(minor)) >= (2, 35) and '[never]' not in _KERNEL.read_text()
    except (AttributeError, OSError, ValueError):  # another system
        return False
