#!/bin/sh
# Remake the certificate beside this script. Needs the openssl command, 3.0 or later.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
key="$here/../../../src/mailwire/testing/certificates/localhost-key.pem"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

# The alternative names in DER: the DNS name "localhost", and behind it one of the octets 61 FF FE 62 63.
cat > openssl.cnf <<'END'
[req]
prompt = no
distinguished_name = subject

[subject]
commonName = a name that is no text

[ca]
default_ca = itself

[itself]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any_subject
x509_extensions = extensions

[any_subject]
commonName = supplied

[extensions]
basicConstraints = critical, CA:TRUE
subjectAltName = DER:30:12:82:09:6c:6f:63:61:6c:68:6f:73:74:82:05:61:ff:fe:62:63
END
: > index.txt
openssl req -new -config openssl.cnf -key "$key" -out request.pem
openssl ca -config openssl.cnf -batch -selfsign -keyfile "$key" -in request.pem -notext \
    -startdate 20200101000000Z -enddate 21200101000000Z -out "$here/name-that-is-no-text.pem" 2> log || { cat log >&2; exit 1; }
