#!/bin/sh
# chain.sh KEY.rsa.pub APKINDEX.tar.gz PACKAGE.apk LAYOUT: checks that a package is a layer of an image, just as it was signed.
set -eu; [ $# = 4 ] || { echo "usage: chain.sh KEY.rsa.pub APKINDEX.tar.gz PACKAGE.apk LAYOUT"; exit 2; }; key=$1 index=$2 apk=$3 image=$4; t=$(mktemp -d); trap 'rm -rf "$t"' EXIT; fail() { echo "BROKEN: $1"; exit 1; }
starts() { LC_ALL=C grep -abo "$(printf '\037\213\010')" "$1" | cut -d: -f1; }   # where gzip members may begin
sign=$(tar -tzf "$index" 2> /dev/null | head -n 1); tar -xzOf "$index" "$sign" > "$t/sign" 2> /dev/null || :; case $sign in .SIGN.RSA256.*) h=sha256;; *) h=sha1;; esac
for at in $(starts "$index"); do tail -c +$((at + 1)) "$index" > "$t/index"; openssl dgst -$h -verify "$key" -signature "$t/sign" "$t/index" > "$t/said" 2>&1 && break; done
grep -q 'Verified OK' "$t/said" || fail "the key did not sign the index"; tar -xzOf "$t/index" APKINDEX > "$t/list"; echo "key     -> index    $(sha256sum < "$index" | cut -c1-64)"
for a in $(starts "$apk"); do for b in $(starts "$apk") ; do [ "$b" -gt "$a" ] || continue; tail -c +$((a + 1)) "$apk" | head -c $((b - a)) > "$t/control"
  sum=Q1$(openssl dgst -sha1 -binary "$t/control" | base64); grep -qx "C:$sum" "$t/list" && break 2; sum=; done; done; [ -n "${sum-}" ] || fail "the index does not list the package"; echo "index   -> control  $sum"
data=$(tail -c +$((b + 1)) "$apk" | sha256sum | cut -c1-64); tar -xzOf "$t/control" .PKGINFO | grep -qx "datahash = $data" || fail "the data section is not the signed one"; echo "control -> data     $data"
manifest=$(grep -o '"digest":"sha256:[0-9a-f]*' "$image/index.json" | head -n 1 | cut -d: -f3); [ "$(sha256sum < "$image/blobs/sha256/$manifest" | cut -c1-64)" = "$manifest" ] || fail "the manifest is damaged"
sed 's/.*"layers":\[\([^]]*\)].*/\1/' "$image/blobs/sha256/$manifest" | grep -q "{\"digest\":\"sha256:$data\"" && echo "$data  $image/blobs/sha256/$data" | sha256sum -c --quiet || fail "the image has no such layer"; echo "data    -> layer    sha256:$data"
