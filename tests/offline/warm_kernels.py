"""Kernels that are forked from a process in which the large packages are imported.

A kernel that starts by itself spends 3 CPU seconds on importing PyTorch, matplotlib and
ipywidgets; a fork needs a sixth of that. The course's own modules are not imported
beforehand, so each kernel meets them as a learner's does.

Jupyter finds the provisioner by the entry point in `warm_kernels-0.dist-info`.
"""

import contextlib
import os
import sys
from multiprocessing import get_context

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

PROVISIONER = "warm" if sys.platform == "linux" else "local-provisioner"
CONTEXT = get_context("forkserver" if sys.platform == "linux" else "spawn")
PATH = list(sys.path)  # that of the process which is forked, once it imports this
PACKAGES = ["ipykernel.ipkernel", "ipykernel.kernelapp", "ipywidgets", "nbformat"]
PACKAGES += ["matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"]
PACKAGES += ["matplotlib.figure", "numpy", "torch", "torch._dynamo"]
CONTEXT.set_forkserver_preload([__name__, *PACKAGES])


def use() -> None:
    """Let every kernel that this process starts be a fork, where that is safe."""
    KernelProvisionerFactory.instance().default_provisioner_name = PROVISIONER


class WarmProvisioner(LocalProvisioner):
    """What starts a kernel for jupyter_client, here by a fork."""

    async def launch_kernel(self, cmd, **options):
        words = cmd[cmd.index("ipykernel_launcher") + 1 :]
        if hasattr(options.get("stderr"), "close"):
            options["stderr"].close()  # a fork has none, and nbval forgets its own
        self.process = _Kernel(words, options["env"], options.get("cwd") or os.getcwd())
        self.process.start()
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Kernel(CONTEXT.Process):
    """The forked process, with the part of Popen's interface that is asked for."""

    stdin = stdout = stderr = None

    def __init__(self, words, env, cwd):
        super().__init__()
        self.words, self.env, self.cwd = words, dict(env), str(cwd)

    def run(self):
        """Become what `python -m ipykernel_launcher WORDS` would be."""
        import ipywidgets
        import numpy
        import torch
        from ipykernel.kernelapp import IPKernelApp

        os.setsid()
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        sys.path[:] = PATH
        numpy.random.seed()  # or all forks would draw the same
        torch.default_generator.seed()
        kernel = IPKernelApp.instance(parent_handle=os.getppid())
        kernel.initialize(self.words)  # what goes wrong here is said in the tests' log
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        ipywidgets.register_comm_target()  # as its import in a kernel does
        kernel.start()

    def poll(self):
        return self.exitcode

    def wait(self):
        self.join()
        return self.exitcode

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):  # as Popen's
            os.kill(self.pid, number)
