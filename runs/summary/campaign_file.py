"""Settings of a run as a campaign file."""

from __future__ import annotations

import yaml

from optsearch.runs.store.records import JsonObject


def campaign_file(settings: JsonObject) -> str:
    """All explicit settings, as YAML that ``search`` accepts.

    Args:
        settings: settings as recorded in a run file; None stands for a setting that is not given.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=110)
