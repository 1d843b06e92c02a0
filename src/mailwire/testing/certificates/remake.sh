#!/bin/sh
# Remake the certificates beside this script: "./remake.sh servers", "./remake.sh clients", or both without an argument.
# Needs the openssl command, 3.0 or later.
# Each authority's own key is thrown away, so nothing can be signed by it afterwards: all that it vouches for are remade
# together with it.
set -eu

which=${1:-all}
case $which in all | servers | clients) ;; *) echo "usage: $0 [servers | clients]" >&2; exit 2 ;; esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

# "openssl ca" signs here, for it is the one command of openssl 3.0 that takes both dates of a certificate's life.
cat > openssl.cnf <<'END'
[req]
prompt = no
distinguished_name = subject

[subject]
organizationName = mailwire.testing, trust nothing signed by it
commonName = ${ENV::COMMON_NAME}

[ca]
default_ca = test_authority

[test_authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any_subject
unique_subject = no

[any_subject]
organizationName = supplied
commonName = supplied

[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always

[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = ${ENV::SUBJECT_ALT_NAMES}

[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = ${ENV::SUBJECT_ALT_NAMES}
END
: > index.txt

born=20250101000000Z
dies=21250101000000Z
died=20250102000000Z
localhost=DNS:localhost,IP:127.0.0.1,IP:::1

# make NAME EXTENSIONS COMMON_NAME SUBJECT_ALT_NAMES LAST_DAY SIGNING_OPTION...
make() {
    name=$1 extensions=$2 COMMON_NAME=$3 SUBJECT_ALT_NAMES=$4 last_day=$5
    shift 5
    export COMMON_NAME SUBJECT_ALT_NAMES
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name-key.pem" 2>> log
    openssl req -new -config openssl.cnf -key "$name-key.pem" -out "$name.csr" 2>> log
    openssl ca -batch -notext -config openssl.cnf -extensions "$extensions" -startdate "$born" -enddate "$last_day" \
        -in "$name.csr" -out "$name.pem" "$@" 2>> log || { cat log >&2; exit 1; }
}

# Public on purpose, and read by daemons of other users too.
publish() {
    chmod 644 "$@"
    mv "$@" "$here/"
}

if [ "$which" != clients ]; then
    make authority authority 'mailwire test authority' "$localhost" "$dies" -selfsign -keyfile authority-key.pem
    make localhost server localhost "$localhost" "$dies" -cert authority.pem -keyfile authority-key.pem
    make other-host server other.invalid DNS:other.invalid "$dies" -cert authority.pem -keyfile authority-key.pem
    make expired server localhost "$localhost" "$died" -cert authority.pem -keyfile authority-key.pem
    make self-signed server localhost "$localhost" "$dies" -selfsign -keyfile self-signed-key.pem
    publish authority.pem localhost.pem localhost-key.pem other-host.pem other-host-key.pem expired.pem \
        expired-key.pem self-signed.pem self-signed-key.pem
fi
if [ "$which" != servers ]; then
    make client-authority authority 'mailwire test authority for clients' "$localhost" "$dies" \
        -selfsign -keyfile client-authority-key.pem
    make alice client alice email:alice@example.org "$dies" -cert client-authority.pem -keyfile client-authority-key.pem
    publish client-authority.pem alice.pem alice-key.pem
fi
