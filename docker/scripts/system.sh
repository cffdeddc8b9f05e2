#!/bin/sh
# Copies packages into a folder that becomes the root of an image: sh system.sh FOLDER PACKAGE...
# Programs bring the libraries they are linked to, whichever packages those are in. Documentation, translations and
# tables of character sets stay behind.
set -eu

folder=$1
shift

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null

mkdir -p "$folder"
cd "$folder"
mkdir -p dev etc proc root run sys tmp usr/bin usr/sbin usr/lib usr/lib64 var/log var/tmp
chmod 1777 tmp var/tmp
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
ln -s /run var/run

# A file or link, where the folders in its path really are.
copy() {
    place=$(realpath "$(dirname "$1")")
    mkdir -p "$folder$place"
    [ -e "$folder$place/$(basename "$1")" ] || cp -a "$1" "$folder$place/"
    if [ -L "$1" ]; then
        target=$(realpath "$1")
        [ "$target" = "$1" ] || copy "$target"
    fi
}

# dpkg speaks of diversions among them.
dpkg -L "$@" | grep '^/' | sort -u |
    grep -vE '^/usr/share/(bash-completion|doc|info|lintian|locale|man)/|/gconv/|^/etc/' |
    while read -r file; do
        [ -d "$file" ] || copy "$file"
    done

find . -type f -perm /111 -exec ldd {} + 2>/dev/null |
    sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u |
    while read -r library; do copy "$library"; done
