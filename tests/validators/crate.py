"""Validate a Workflow Run RO-Crate without a network: crate.py FOLDER CONTEXT [SEVERITY].

Run by the Python of roc-validator's environment. CONTEXT is the file of RO-Crate 1.1's JSON-LD
context, which the validator else fetches; rocrate 0.9.0 brings it as data/ro-crate.jsonld. Prints
what is not met, and ends with 1 where there is something.
"""

import sys
from pathlib import Path
from typing import Any

import requests
from rocrate_validator import services

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def main(folder: str, context: str, severity: str = "REQUIRED") -> int:
    """Return the exit code."""
    content = Path(context).read_bytes()

    def send(
        session: requests.Session, request: requests.PreparedRequest, **_: Any
    ) -> requests.Response:
        if request.url != CONTEXT:
            raise requests.ConnectionError(f"{request.url}: no network here")
        found = requests.Response()
        found.status_code, found.url, found.request = 200, CONTEXT, request
        found.headers["Content-Type"], found._content = "application/ld+json", content
        return found

    requests.Session.send = send  # type: ignore[method-assign]
    result = services.validate(
        {
            "rocrate_uri": folder,
            "profile_identifier": "workflow-run-crate-0.5",
            "requirement_severity": severity,
            "skip_availability_check": True,
            "no_cache": True,
        }
    )
    for issue in result.get_issues():
        print(f"{issue.severity.name} {issue.check.identifier}: {issue.message}")
    done, failed = len(result.executed_checks), len(result.failed_checks)
    print(f"{done} checks, {failed} failed")
    return 0 if done and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
