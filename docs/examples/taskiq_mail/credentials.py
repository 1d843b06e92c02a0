"""Passwords. They are where the workers are, one file each, as Docker, Kubernetes and systemd put them there; a task
names the user alone."""

from pathlib import Path

from mailwire import Endpoint, Password


def endpoint_of(server: str, secrets: Path) -> Endpoint:
    """Return the endpoint with the password of its user, which is in the file `user@host` in `secrets`.

    The host is part of the name: whoever can write tasks can have no password sent to a host that it is not for.
    Raises LookupError where there is no such file.
    """
    endpoint = Endpoint.parse(server)
    if not isinstance(endpoint.auth, Password):
        return endpoint
    name = f"{endpoint.auth.user}@{endpoint.host}"
    for file in secrets.iterdir():  # a name with "../" in it is none of these
        if file.name == name:
            return endpoint.replace(auth=Password(endpoint.auth.user, file.read_text("utf-8").rstrip("\n")))
    raise LookupError(f"there is no password for {name}")
