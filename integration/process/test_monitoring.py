# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the daemon: it takes the page, the alert rules and the dashboard."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from conftest import Rig
from rig.gateway import Gateway
from rig.process import Process, free_port
from rig.wait import LONG_S, until, until_equal

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/xdsgate-rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/xdsgate.json"
METRIC = re.compile(r"\b(?:xdsgate|process)_[a-z_]+")
# What Prometheus makes of a histogram.
SUFFIX = re.compile(r"_(bucket|sum|count)$")
# There only with a `kubernetes:` block, which needs a cluster, once that was asked.
WITH_A_CLUSTER = {"xdsgate_kubernetes_reachable", "xdsgate_client_roots_missing",
                  "xdsgate_upstream_roots_missing"}


class Prometheus:
    def __init__(self, folder: Path, targets: list[str]) -> None:
        self.port = free_port()
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "xdsgate", "static_configs": [{"targets": targets}]}]}))
        self.process = Process("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}"], folder / "prometheus.log")

    def ask(self, path: str, **arguments: str) -> dict:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=LONG_S) as answer:
            return json.load(answer)

    def query(self, expression: str) -> list:
        answer = self.ask("query", query=expression)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def await_scrape(self, target: str) -> None:
        def look() -> bool:
            assert self.process.running(), self.process.text()[-2000:]
            targets = self.ask("targets")["data"]["activeTargets"]
            seen[0] = [t["lastError"] for t in targets]
            return any(t["health"] == "up" for t in targets if target in t["scrapeUrl"])

        seen: list[object] = [None]
        try:
            until(look, f"Prometheus has scraped {target}")
        except AssertionError as error:
            raise AssertionError(f"{error}; errors: {seen[0]}") from None


def of_rules() -> list[str]:
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"]
             for rule in group["rules"]]
    assert len(rules) > 10
    return rules


def of_panels() -> list[str]:
    panels = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"]
              for target in panel.get("targets", [])]
    assert len(panels) > 20
    return panels


def expressions() -> list[str]:
    panels = of_panels()
    return of_rules() + [e.replace("$instance", ".*").replace("$__rate_interval", "1m") for e in panels]


@pytest.fixture
def served(rig: Rig) -> Gateway:
    istiod = rig.istiod()
    gateway = rig.gateway({**rig.terminate(istiod),
                           "metrics": {"bind": f"127.0.0.1:{free_port()}"}})
    rig.vms()
    istiod.await_synced(1)
    return gateway


def test_rules__promtool__takes_them() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_registration_refused__an_operators_order_rings_no_alarm(tmp_path: Path) -> None:
    name = "xdsgate_registration_refused_total"
    series = [{"series": f'{name}{{instance="edge",rule="{rule}"}}', "values": "0+1x20"}
              for rule in ("revoked", "held", "labels")]
    said = {"exp_labels": {"severity": "warning", "instance": "edge", "rule": "labels"}}
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    texts = next(r for r in rules if r["alert"] == "XdsgateRegistrationRefused")["annotations"]
    said["exp_annotations"] = {
        **texts, "summary": "VMs are refused by the rule labels at edge"}
    test = tmp_path / "test.yaml"
    test.write_text(yaml.safe_dump({
        "rule_files": [str(RULES)], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": [
            {"eval_time": "15m", "alertname": "XdsgateRegistrationRefused",
             "exp_alerts": [said]}]}]}))
    done = subprocess.run(["promtool", "test", "rules", test], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard__shows_what_alarms() -> None:
    rules = {name for e in of_rules() for name in METRIC.findall(e)}
    panels = {SUFFIX.sub("", name) for e in of_panels() for name in METRIC.findall(e)}
    assert {SUFFIX.sub("", name) for name in rules} - panels == set()


def test_page__promtool__finds_nothing_to_complain_of(served: Gateway) -> None:
    page = served.get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True,
                          text=True)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


def test_every_metric_that_is_used__is_on_the_page(served: Gateway) -> None:
    names = {line.split()[2] for line in served.get("/metrics")[1].splitlines()
             if line.startswith("# TYPE ")}
    used = {name for e in expressions() for name in METRIC.findall(e)}
    missing = {name for name in used if name not in names and SUFFIX.sub("", name) not in names}
    assert missing == WITH_A_CLUSTER


def test_prometheus__scrapes_and_answers_every_question(rig: Rig, served: Gateway) -> None:
    target = served.config["metrics"]["bind"]
    prometheus = Prometheus(rig.folder, [target])
    try:
        prometheus.await_scrape(target)
        for expression in expressions():
            prometheus.query(expression)
        until_equal(lambda: [row["value"][1] for row in  # none while a scrape has failed
                             prometheus.query('xdsgate_vms{state="connected"}')], ["1"],
                    "connected VMs")
        rules = [rule for group in prometheus.ask("rules")["data"]["groups"]
                 for rule in group["rules"]]
        assert not [rule for rule in rules if rule.get("lastError")]
        firing = [a["labels"]["alertname"] for a in prometheus.ask("alerts")["data"]["alerts"]
                  if a["state"] == "firing"]
        assert not firing
    finally:
        prometheus.process.kill()
