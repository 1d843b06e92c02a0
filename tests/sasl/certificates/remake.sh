#!/bin/sh
# Remake the certificates beside this script, for the tests of channel bindings. Needs the openssl command, 3.0 or later.
# All keys are thrown away. Whoever remakes the certificates puts the digests that this prints into the tests.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

# make NAME DIGEST-OPTION HASH-OF-THE-BINDING KEY-OPTION... [-- SIGNING-OPTION...]
make() {
    name=$1 digest=$2 binding=$3
    shift 3
    key=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do key="$key $1"; shift; done
    [ $# -eq 0 ] || shift
    # shellcheck disable=SC2086  # the options are words
    openssl genpkey $key -out key.pem 2>> log
    openssl req -new -x509 -key key.pem -subj "/CN=$name.invalid" -days 36500 $digest "$@" \
        -config /dev/null -out "$here/$name.pem" 2>> log || { cat log >&2; exit 1; }
    [ "$binding" = none ] || echo "$name $(openssl x509 -in "$here/$name.pem" -noout -fingerprint "-$binding" | sed 's/.*=//; s/://g')"
}

rsa='-algorithm RSA -pkeyopt rsa_keygen_bits:1024'
p256='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
pss='-sigopt rsa_padding_mode:pss'
# shellcheck disable=SC2086
{
    make rsa-md5 -md5 sha256 $rsa
    make rsa-sha1 -sha1 sha256 $rsa
    make rsa-sha224 -sha224 sha224 $rsa
    make rsa-sha256 -sha256 sha256 $rsa
    make rsa-sha384 -sha384 sha384 $rsa
    make rsa-sha512 -sha512 sha512 $rsa
    make rsa-pss-sha1 -sha1 sha256 $rsa -- $pss
    make rsa-pss-sha256 -sha256 sha256 $rsa -- $pss
    make rsa-pss-sha384 -sha384 sha384 $rsa -- $pss
    make rsa-pss-sha512 -sha512 sha512 $rsa -- $pss -sigopt rsa_pss_saltlen:20
    make rsa-pss-sha256-mgf1-sha1 -sha256 none $rsa -- $pss -sigopt rsa_mgf1_md:sha1
    make ecdsa-sha1 -sha1 sha256 $p256
    make ecdsa-sha224 -sha224 sha224 $p256
    make ecdsa-sha256 -sha256 sha256 $p256
    make ecdsa-sha384 -sha384 sha384 $p256
    make ecdsa-sha512 -sha512 sha512 $p256
    make ed25519 '' none -algorithm ED25519
    make ed448 '' none -algorithm ED448
}
