"""Maintainer's script: copy the named browser files out of npm packages into ``static/vendor/``.

Nobody else needs Node: the copied files are committed. Run it after changing a version below, then commit
``static/`` and ``vendor.lock.json`` together. ``--check`` compares the committed files with the lock, offline.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent.parent / "static"
LOCK = HERE / "vendor.lock.json"
ICONS_FILE = HERE / "icons.json"


class VendorError(Exception):
    """A package or a file is not what it should be."""


@dataclass(frozen=True)
class Package:
    """One npm package: ``files`` maps a path in the tarball to a path below ``static/``."""

    name: str
    version: str
    files: dict[str, str]
    added: dict[str, str] = field(default_factory=dict)


PACKAGES = [
    Package(
        "htmx.org",
        "2.0.11",
        {"dist/htmx.min.js": "vendor/htmx/htmx.min.js", "LICENSE": "vendor/htmx/LICENSE"},
    ),
    Package(
        "@tabler/core",
        "1.6.1",
        {
            "dist/css/tabler.min.css": "vendor/tabler/tabler.min.css",
            "dist/js/tabler.min.js": "vendor/tabler/tabler.min.js",
        },
        # The tarball carries no licence text although its package.json says MIT.
        {"tabler-LICENSE.txt": "vendor/tabler/LICENSE"},
    ),
    Package(
        "weui",
        "2.6.26",
        {"dist/style/weui.min.css": "vendor/weui/weui.min.css", "LICENSE.txt": "vendor/weui/LICENSE"},
    ),
    Package(
        "chart.js",
        "4.6.1",
        {"dist/chart.umd.min.js": "vendor/chartjs/chart.umd.min.js", "LICENSE.md": "vendor/chartjs/LICENSE"},
    ),
    Package("@tabler/icons", "3.52.0", {"LICENSE": "img/icons.LICENSE"}),
]

# CompressedManifestStaticFilesStorage follows these comments and fails on the maps that are not there.
SOURCE_MAP = re.compile(rb"\s*(?://[#@]\s*sourceMappingURL=\S+|/\*[#@]\s*sourceMappingURL=.*?\*/)")


def npm(*words: str, cwd: Path | None = None) -> str:
    """Run npm and return what it printed; raise VendorError when it fails."""
    done = subprocess.run(["npm", *words, "--silent"], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VendorError(f"npm {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def fetch(package: Package, into: Path) -> tuple[Path, str]:
    """Download the package and return its tarball and sha512 integrity; raise VendorError when they disagree."""
    spec = f"{package.name}@{package.version}"
    promised = npm("view", spec, "dist.integrity")
    tarball = into / npm("pack", spec, cwd=into).splitlines()[-1]
    got = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if got != promised:
        raise VendorError(f"{spec}: integrity is {got}, npm promised {promised}")
    return tarball, got


def member(tar: tarfile.TarFile, path: str) -> bytes:
    """Return one file of the tarball; raise VendorError when it is not there."""
    try:
        handle = tar.extractfile(f"package/{path}")
    except KeyError:
        handle = None
    if handle is None:
        raise VendorError(f"{tar.name}: no file {path}")
    return handle.read()


def sprite(tar: tarfile.TarFile) -> bytes:
    """Return one SVG with a symbol for each icon that ``icons.json`` names."""
    symbols = []
    for ours, theirs in sorted(json.loads(ICONS_FILE.read_text()).items()):
        source = member(tar, f"icons/outline/{theirs}.svg").decode()
        body = re.sub(r"<path stroke=\"none\"[^>]*/>", "", source[source.index(">") + 1 : source.rindex("</svg>")])
        shape = "".join(line.strip() for line in body.splitlines())
        # The stroke is set here because the icons are drawn on 24 units and shown at 16 px.
        symbols.append(f'<symbol id="i-{ours}" viewBox="0 0 24 24"><g stroke-width="2.2">{shape}</g></symbol>')
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg">', *symbols, "</svg>", ""]).encode()


def copy(package: Package, tarball: Path) -> dict[str, str]:
    """Write the package's files below ``static/`` and return the sha256 of each."""
    with tarfile.open(tarball) as tar:
        wanted = {ours: member(tar, theirs) for theirs, ours in package.files.items()}
        if package.name == "@tabler/icons":
            wanted["img/icons.svg"] = sprite(tar)
    wanted |= {ours: (HERE / mine).read_bytes() for mine, ours in package.added.items()}
    for ours, content in wanted.items():
        target = STATIC / ours
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(SOURCE_MAP.sub(b"", content).rstrip() + b"\n")
    return {ours: digest(STATIC / ours) for ours in sorted(wanted)}


def digest(path: Path) -> str:
    """Return the file's sha256 in hex, or an empty string when it is missing."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def update() -> None:
    """Fetch every package, copy its files and write the lock."""
    lock = []
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            tarball, integrity = fetch(package, Path(folder))
            files = copy(package, tarball)
            lock.append({"package": package.name, "version": package.version, "integrity": integrity, "files": files})
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


def check() -> None:
    """Compare the committed files with the lock; raise VendorError naming those that differ."""
    files = {path: sha for entry in json.loads(LOCK.read_text()) for path, sha in entry["files"].items()}
    wrong = [path for path, sha in files.items() if digest(STATIC / path) != sha]
    if wrong:
        raise VendorError("not as locked: " + ", ".join(wrong))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare static/ with the lock, offline")
    try:
        (check if parser.parse_args().check else update)()
    except VendorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
