"""What TCP can be asked for, and what becomes of it at a Unix socket."""

import socket

import pytest

from mailwire.testing.tcp import reset, send_at_once


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


def test_packets_do_not_wait_for_each_other() -> None:
    near, far = tcp_pair()
    with near, far:
        assert not near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        send_at_once(near)
        assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_tcp_is_reset() -> None:
    near, far = tcp_pair()
    with far:
        reset(near)
        with pytest.raises(ConnectionResetError):
            far.recv(1)


def test_a_unix_socket_ends() -> None:
    near, far = socket.socketpair()
    with far:
        send_at_once(near)
        reset(near)
        assert far.recv(1) == b""
