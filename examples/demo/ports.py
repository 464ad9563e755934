"""Free TCP ports of this machine's loopback."""

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int, *, taken: set[int] | None = None, tries: int = 200) -> int:
    """The first port from `preferred` upwards that nobody listens on and nobody of ours was promised (`taken`)."""
    for port in range(preferred, min(preferred + tries, 65536)):
        if port not in (taken or ()) and is_free(port):
            return port
    raise OSError(f"no free port between {preferred} and {min(preferred + tries, 65536) - 1} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Binding alone is not proof everywhere: macOS lets one bind beside a listener on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as knock:
        knock.settimeout(1)
        if knock.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
