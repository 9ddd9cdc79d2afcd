"""Microsoft's azure-containerregistry does one task of `cargo xtask bench content`.

    content.py up|down ENDPOINT CA FILE|DIGEST

Prints seconds, seconds of CPU time, and the most bytes in memory over idle, as acr-verify's own tasks do.
"""

import io
import sys
import time

from azure.containerregistry import ContainerRegistryClient

from sdk import TokenCredential

REPOSITORY = "bench/app"


def main():
    work, endpoint, ca, what = sys.argv[1:]
    with ContainerRegistryClient(endpoint, TokenCredential(), connection_verify=ca) as client:
        # Signed in, connected, and with the code in memory.
        client.upload_blob(REPOSITORY, io.BytesIO(b"small"))
        # Makes the most memory so far that of now.
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        idle, cpu, start = memory("VmRSS:"), time.process_time(), time.perf_counter()
        if work == "up":
            with open(what, "rb") as file:
                client.upload_blob(REPOSITORY, file)
        else:
            for _ in client.download_blob(REPOSITORY, what):
                pass
        seconds = time.perf_counter() - start
        print(seconds, time.process_time() - cpu, memory("VmHWM:") - idle)


def memory(name):
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


if __name__ == "__main__":
    main()
