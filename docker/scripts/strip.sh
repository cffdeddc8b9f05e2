#!/bin/sh
# Takes what only debuggers read out of the programs and plugins of an installed tree: sh strip.sh FOLDER
set -eu
cd "$1/usr"
strip --strip-unneeded lib/ipsec/plugins/*.so sbin/ipsec sbin/swanctl
for program in charon starter stroke; do strip --strip-unneeded "libexec/ipsec/$program"; done
