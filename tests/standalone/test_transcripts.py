"""The recorded exchanges with a real API server (Kubernetes v1.36.2), sent again in their order to this one.

Answers must be the same: status, bodies with the order of their keys, warnings. Only what a server makes up may differ
(uids, versions, times, allotted addresses), and what is listed in DIFFERENT with its reason.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from yarl import URL

from tests.standalone.conftest import SERVICES, SLICES, Client, serving
from userproxy.standalone.api import ApiLimits

DATA = Path(__file__).parent / "data"
RECORDED = [json.loads(line) for line in (DATA / "exchanges.jsonl").read_text().splitlines()]
MADE_UP = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "deletionTimestamp",
    "continue",
    "remainingItemCount",
)
PARSER = "the parser's own words about bad syntax"

DIFFERENT = {
    "020": "other representations are offered (no protobuf)",
    "021": "other representations are offered (no protobuf)",
    "038": PARSER,
    "044": PARSER,
    "053": "the text names a file of the real server's source",
    "054": "the real text speaks of an IPAddress object that nobody asked for",
    "066": PARSER,
    "067": PARSER,
    "068": PARSER,
    "069": PARSER,
    "073": "other media types are accepted (no protobuf)",
    "102": "the real text speaks of the storage",
    "119": PARSER,
    "120": PARSER,
    "121": PARSER,
    "124": "the supported types are named",
    "125": "the supported types are named",
    "127": "the real text holds the whole object",
    "128": "the real text holds the whole object",
    "151": "the text names a file of the real server's source",
}
"""Recordings of which only the status and the reason are compared, and why."""

SKIPPED = {
    "062": "the recording was kept without the duplicate in the body; test_duplicates.py sends one",
    "087": "loopback endpoint addresses are allowed here",
    "150": "the controller that would have made the object does not run here",
}


class Substitutes:
    """What the recorded server made up, and what this one made up instead; learned answer by answer."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def learn(self, recorded: Any, ours: Any) -> None:
        if not (isinstance(recorded, dict) and isinstance(ours, dict)):
            return
        for one, other in zip(recorded.get("items", ()), ours.get("items", ()), strict=False):
            self.learn(one, other)
        for one, other in (
            (recorded.get("metadata", {}).get("uid"), ours.get("metadata", {}).get("uid")),
            (recorded.get("spec", {}).get("clusterIP"), ours.get("spec", {}).get("clusterIP")),
        ):
            if one and other and one != "None":
                self.texts[one] = other
        if recorded.get("metadata", {}).get("generateName"):
            self.texts[recorded["metadata"]["name"]] = ours["metadata"]["name"]
        version, our_version = (each.get("metadata", {}).get("resourceVersion") for each in (recorded, ours))
        if version and our_version:
            self.versions[version] = our_version

    def apply(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self.apply(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item, key) for item in value]
        if key == "resourceVersion":
            return self.versions.get(value, value)
        if isinstance(value, str):
            for one, other in self.texts.items():
                value = value.replace(one, other)
        return value


def normal(value: Any, key: str = "") -> Any:
    """Replace what a server makes up; keys of objects become a list, so that their order counts."""
    if isinstance(value, dict):
        return [(name, normal(item, name)) for name, item in value.items()]
    if isinstance(value, list):
        return [normal(item, key) for item in value]
    if isinstance(value, str) and key in ("message", "reason"):
        return re.sub(r"(in record \(|current: )\d+", r"\1N", value)
    return f"<{key}>" if key in MADE_UP else value


async def send(client: Client, exchange: dict[str, Any]) -> tuple[int, list[str], Any]:
    body = exchange.get("text")
    if "json" in exchange:
        body = json.dumps(exchange["json"])
    headers = {"Accept": exchange["accept"] or "*/*", "User-Agent": "recorder/1.0"}
    skip = []
    if exchange["content_type"]:
        headers["Content-Type"] = exchange["content_type"]
    else:
        skip.append("Content-Type")
    url = URL(client.url + exchange["path"], encoded=True)
    async with client.session.request(
        exchange["method"], url, data=body, headers=headers, skip_auto_headers=skip
    ) as response:
        text = await response.text()
        warnings = response.headers.getall("Warning", [])
        answer = json.loads(text) if exchange["answer"] is not None and text else text or None
        return response.status, warnings, answer


async def prepare(client: Client) -> None:
    """Make the Services that were there before the recordings of the list began."""
    for exchange in RECORDED:
        answer = exchange["answer"] or {}
        items = answer.get("items", [answer]) if exchange["name"][:3] in ("001", "145", "149") else []
        for item in items:
            kept = ("name", "namespace", "labels", "annotations", "finalizers")
            metadata = {name: item["metadata"][name] for name in kept if name in item["metadata"]}
            spec = {"selector": item["spec"]["selector"], "ports": [{"port": 80}]}
            if exchange["name"].startswith("001"):
                spec["clusterIP"] = item["spec"]["clusterIP"]
            made = f"{SERVICES}?fieldManager=recorder"
            await client.ok("POST", made, {"metadata": metadata, "spec": spec})
        if exchange["name"].startswith("001"):  # its owners are part of the recording
            owners = {"metadata": {"managedFields": exchange["answer"]["metadata"]["managedFields"]}}
            await client.ok("PATCH", f"{SERVICES}/my-service", owners, "application/merge-patch+json")


async def test_the_recorded_requests_get_the_recorded_answers() -> None:
    differences = []
    empty = {"metadata": {"name": "upd"}, "addressType": "IPv4", "endpoints": [], "ports": []}
    # Within one second, as they were recorded: managedFields are in the order of their times.
    began = time.time()
    async with serving(ApiLimits(version_wait=0.1), start=600, now=lambda: began) as client:
        await prepare(client)
        known = Substitutes()
        for exchange in RECORDED:
            number, expected = exchange["name"][:3], exchange["answer"]
            if number in SKIPPED:
                continue
            if number == "101":  # changes between the recordings
                await client.ok("POST", f"{SLICES}?fieldManager=recorder", empty)
            if number == "123":
                await client.ok("DELETE", f"{SERVICES}/nosuch")
            if "json" in exchange:
                exchange = {**exchange, "json": known.apply(exchange["json"])}
            status, warnings, answer = await send(client, exchange)
            if expected is None:
                expected = exchange.get("answer_text")
            known.learn(expected, answer)
            got, want = (
                (status, normal(answer), warnings),
                (
                    exchange["status"],
                    normal(known.apply(expected)),
                    exchange["warnings"],
                ),
            )
            if number in DIFFERENT:
                got, want = (
                    (status, answer.get("reason"), []),
                    (exchange["status"], expected.get("reason"), []),
                )
            if got != want:
                differences.append(f"{exchange['name']}\n  want {want}\n  got  {got}")
    assert not differences, "\n".join(differences)
