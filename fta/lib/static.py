"""Where static files are found: under names with their digest once `collectstatic` has run, under plain ones before."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no stubs
    """The manifest that the first `collectstatic` writes decides, and not whether there is a folder: that run makes it."""

    def stored_name(self, name: str) -> str:
        """Return the name under which a file is served; without a manifest the finders serve it under its own."""
        return str(super().stored_name(name)) if self.hashed_files else name
