#!/usr/bin/env python3
"""Makes signed repositories of APK v2 packages to measure with. Standard library and openssl only.

The content is made up, but it packs about as well as software does: text, tables of records, runs of zeros and noise, in
files of a few hundred bytes up to megabytes. The same numbers give the same files; the key, and with it the signatures,
is new each time.
"""

import argparse
import base64
import concurrent.futures
import functools
import hashlib
import io
import os
import random
import re
import subprocess
import tarfile
import zlib
from pathlib import Path

EPOCH = 1_700_000_000
KEY = "bench.rsa"
ARCHS = ("x86_64", "aarch64", "armv7")


# --- Writing ------------------------------------------------------------------------------------------------------


def packed(plain, level=6):
    """One gzip member without name and time."""
    stream = zlib.compressobj(level, zlib.DEFLATED, 31)
    return stream.compress(plain) + stream.flush()


def entry(name, content=None, mode=0o644, link=None, checksum=True):
    """An entry of a tar: a folder without content and link, else a file or a symbolic link."""
    info = tarfile.TarInfo(name)
    info.mtime, info.mode, info.uname, info.gname = EPOCH, mode, "root", "root"
    hashed = content
    if link is not None:
        info.type, info.linkname, info.mode, hashed = tarfile.SYMTYPE, link, 0o777, link.encode()
    elif content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size = len(content)
    if checksum and hashed is not None:
        info.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(hashed).hexdigest()}
    body = content or b""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8") + body + bytes(-len(body) % 512)


def make_key(folder, name=KEY):
    folder.mkdir(parents=True, exist_ok=True)
    key, public = folder / name, folder / f"{name}.pub"
    quiet = {"check": True, "stderr": subprocess.DEVNULL}
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key]
    subprocess.run(command, **quiet)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], **quiet)
    return key


def signed(member, key):
    """The member with its signature in front."""
    command = ["openssl", "dgst", "-sha256", "-sign", key]
    signature = subprocess.run(command, input=member, capture_output=True, check=True).stdout
    return packed(entry(f".SIGN.RSA256.{key.name}.pub", signature, checksum=False)) + member


def sealed(info, scripts, data, key):
    """A whole package, and the name its index gives it. `info` is the text of .PKGINFO without `datahash`."""
    info = f"{info}datahash = {hashlib.sha256(data).hexdigest()}\n"
    control = packed(entry(".PKGINFO", info.encode(), checksum=False) + scripts)
    return signed(control, key) + data, "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()


def write_index(path, records, key):
    text = "".join(f"{record}\n\n" for record in records).encode()
    files = entry("DESCRIPTION", b"bench", checksum=False) + entry("APKINDEX", text, checksum=False)
    path.write_bytes(signed(packed(files + bytes(1024)), key))


# --- Content ------------------------------------------------------------------------------------------------------

PIECE = 4096


@functools.cache
def pools():
    """Pieces that files are put together from, enough of them that few repeat within deflate's window."""
    rng = random.Random(7)
    words = [rng.randbytes(rng.randint(2, 5)).hex().encode() for _ in range(2500)]
    weights = [1 / (rank + 8) for rank in range(len(words))]

    def text():
        return b" ".join(rng.choices(words, weights, k=700))[:PIECE].ljust(PIECE)

    def records():
        low, high = rng.randrange(1 << 24), rng.randrange(1 << 8)
        rows = ((low + 23 * i).to_bytes(4, "little") + bytes((high, i & 7, 0, 0)) + rng.randbytes(3) for i in range(373))
        return b"".join(rows)[:PIECE].ljust(PIECE, b"\0")

    kinds = {"text": text, "records": records, "noise": lambda: rng.randbytes(PIECE), "zeros": lambda: bytes(PIECE)}
    return {kind: [make() for _ in range(1 if kind == "zeros" else 1500)] for kind, make in kinds.items()}


def content(rng, size, binary):
    pool = pools()
    mix = {"records": 62, "text": 20, "noise": 10, "zeros": 8} if binary else {"text": 96, "noise": 4}
    kinds = rng.choices(list(mix), list(mix.values()), k=size // PIECE + 1)
    head = b"%016x\n" % rng.getrandbits(64)
    return (head + b"".join(rng.choice(pool[kind]) for kind in kinds))[:size]


def data_of(name, size, rng):
    """The data section of a package of about this many bytes, and how many there are in truth."""
    folders = ["usr", "usr/bin", "usr/lib", f"usr/lib/{name}", "usr/share", f"usr/share/{name}"]
    tar = [entry(folder) for folder in folders]
    left, number = size, 0
    while left > 0:
        length = min(left, max(120, int(rng.lognormvariate(9.3, 1.7))))
        binary = length > 20_000
        folder, mode = (f"usr/lib/{name}", 0o755) if binary else (f"usr/share/{name}", 0o644)
        tar.append(entry(f"{folder}/file-{number:05}", content(rng, length, binary), mode))
        left, number = left - length, number + 1
    tar.append(entry(f"usr/bin/{name}", link=f"../lib/{name}/file-00000"))
    return packed(b"".join(tar) + bytes(1024)), size


def package(folder, number, size, key):
    """Writes one package; returns its record of the index."""
    rng = random.Random(f"package {number} of {size}")
    name, version = f"bench-{number:04}", f"1.{number % 7}.{number % 11}-r{number % 3}"
    depends = sorted({f"bench-{rng.randrange(number):04}" for _ in range(rng.randrange(4))} if number else set())
    data, size = data_of(name, size, rng)
    info = (
        f"pkgname = {name}\npkgver = {version}\npkgdesc = part {number} of a benchmark\nurl = https://example.org/\n"
        f"builddate = {EPOCH}\nsize = {size}\narch = noarch\norigin = {name}\nlicense = MIT\n"
        + "".join(f"depend = {other}\n" for other in depends)
    )
    raw, identity = sealed(info, b"", data, key)
    (folder / f"{name}-{version}.apk").write_bytes(raw)
    rows = [f"C:{identity}", f"P:{name}", f"V:{version}", "A:noarch", f"S:{len(raw)}", f"I:{size}"]
    rows += [f"T:part {number} of a benchmark", "U:https://example.org/", "L:MIT", f"o:{name}", f"t:{EPOCH}"]
    return "\n".join(rows + ([f"D:{' '.join(depends)}"] if depends else []))


def make(folder, packages, megabytes):
    """A repository of so many packages for three architectures, which have the same packages."""
    folder = Path(folder)
    key = make_key(folder / "keys")
    first, *others = (folder / arch for arch in ARCHS)
    first.mkdir(parents=True, exist_ok=True)
    rng = random.Random(packages)
    weights = [rng.lognormvariate(0, 1.2) for _ in range(packages)]
    sizes = [max(2000, int(megabytes * 1e6 * weight / sum(weights))) for weight in weights]
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [pool.submit(package, first, number, size, key) for number, size in enumerate(sizes)]
        records = [job.result() for job in jobs]
    write_index(first / "APKINDEX.tar.gz", records, key)
    for other in others:
        other.mkdir(exist_ok=True)
        for path in first.iterdir():
            (other / path.name).unlink(missing_ok=True)
            os.link(path, other / path.name)
    return folder


# --- One package newer --------------------------------------------------------------------------------------------


def members(raw):
    """The plain bytes of each gzip member."""
    found = []
    while raw:
        stream = zlib.decompressobj(31)
        found.append(stream.decompress(raw) + stream.flush())
        raw = stream.unused_data
    return found


def files_of(plain):
    """The content of each entry of a tar by its name, and where the last one ends."""
    with tarfile.open(fileobj=io.BytesIO(plain + bytes(1024))) as tar:
        found, end = {}, 0
        for info in tar:
            found[info.name] = tar.extractfile(info).read() if info.isreg() else None
            end = info.offset_data + (-(-info.size // 512) * 512 if info.isreg() else 0)
        return found, end


def index_records(path):
    """The records of an index as texts."""
    for plain in members(path.read_bytes()):
        files, _ = files_of(plain)
        if "APKINDEX" in files:
            return files["APKINDEX"].decode("utf-8", "surrogateescape").strip("\n").split("\n\n")
    raise ValueError(f"{path}: no index")


def fields(record):
    return dict(line.split(":", 1) for line in record.split("\n") if ":" in line)


def bumped(arch_folder, out, key, wanted=2_500_000):
    """Makes the package whose size is nearest to `wanted`, but which no other names with a version, newer by a file.

    Writes the package and an index, both signed with `key`, into `out`; returns the package's name and file.
    """
    records = index_records(arch_folder / "APKINDEX.tar.gz")
    named = set()
    for record in records:
        for word in fields(record).get("D", "").split():
            if re.search("[<>=~]", word):
                named.add(re.split("[<>=~]", word.lstrip("!"))[0])
    free = [n for n, r in enumerate(records) if fields(r)["P"] not in named and "r:" not in r]
    chosen = min(free, key=lambda n: abs(int(fields(records[n])["S"]) - wanted))
    old = fields(records[chosen])
    stem, revision = old["V"].rsplit("-r", 1)
    version = f"{stem}-r{int(revision) + 1}"

    parts = members((arch_folder / f"{old['P']}-{old['V']}.apk").read_bytes())
    control = next(n for n, plain in enumerate(parts) if ".PKGINFO" in files_of(plain)[0])
    info, scripts = "", b""
    for name, text in files_of(parts[control])[0].items():
        if name == ".PKGINFO":
            lines = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
            info = "".join(line for line in lines if not line.startswith(("datahash", "pkgver", "#")))
        else:
            scripts += entry(name, text, 0o755, checksum=False)
    plain = b"".join(parts[control + 1 :])
    have, end = files_of(plain)
    added = [entry(f) for f in ("usr", "usr/share", "usr/share/bumped") if f not in have]
    added.append(entry(f"usr/share/bumped/{old['P']}", version.encode()))
    data = packed(plain[:end] + b"".join(added) + bytes(1024))
    raw, identity = sealed(f"{info}pkgver = {version}\n", scripts, data, key)

    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{old['P']}-{version}.apk"
    file.write_bytes(raw)
    change = {"C": identity, "V": version, "S": str(len(raw))}
    lines = (line.split(":", 1) for line in records[chosen].split("\n"))
    records[chosen] = "\n".join(f"{k}:{change.get(k, v)}" for k, v in lines)
    write_index(out / "APKINDEX.tar.gz", records, key)
    return old["P"], file


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", type=int, default=100)
    parser.add_argument("--megabytes", type=float, default=300, help="size of all installed [300]")
    options = parser.parse_args()
    make(options.folder, options.packages, options.megabytes)


if __name__ == "__main__":
    main()
