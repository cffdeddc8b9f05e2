#!/bin/sh
# Makes the folders of swanctl in the configuration of both hosts, which is their whole /etc.
set -eu
cd "$(dirname "$0")/.."
for host in moon carol road-warrior/moon road-warrior/carol; do
    for folder in bliss ecdsa pkcs12 pkcs8 private pubkey rsa x509 x509ca x509aa x509ac x509crl x509ocsp; do
        mkdir -p "$host/$folder"
    done
done
