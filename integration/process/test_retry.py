# SPDX-License-Identifier: Apache-2.0
"""Streams that istiod refuses before any answer are offered again: the VM sees nothing of it."""

from __future__ import annotations

import pytest

from conftest import Rig
from rig.wait import until

VARIANTS = pytest.mark.parametrize("variant", ["--delta", "--sotw"])


def assert_unseen(vms, n: int = 1) -> None:
    """Each VM has opened one stream and lost none."""
    rows = vms.status()
    assert [vm["streams_opened"] for vm in rows] == [1] * n
    assert not [vm for vm in rows if vm["last_end"]]


@VARIANTS
@pytest.mark.parametrize("code", [8, 14])
def test_refused_before_any_answer__tried_again_unseen(rig: Rig, variant: str, code: int) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    istiod.ask("fault", "refuse-next", 2, code)

    vms = rig.vms(variant, "--no-csr")

    istiod.await_synced(1)
    assert_unseen(vms)
    assert istiod.counter("refused") == 2
    assert gateway.metric("xdsgate_stream_retries_total") == 2


@VARIANTS
def test_server_is_not_ready__tried_again_until_it_is(rig: Rig, variant: str) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    istiod.ask("fault", "not-ready", "on")

    vms = rig.vms(variant, "--no-csr")
    gateway.await_at_least("xdsgate_stream_retries_total", 2)
    istiod.ask("fault", "not-ready", "off")

    istiod.await_synced(1)
    assert_unseen(vms)


@pytest.mark.parametrize("code", [7, 9, 13, 16])
def test_refused_for_good__vm_sees_it(rig: Rig, code: int) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    istiod.ask("fault", "refuse-next", 1, code)

    vms = rig.vms("--no-csr")

    assert vms.await_last_end()["code"] == code
    assert gateway.metric("xdsgate_stream_retries_total") == 0
    istiod.await_synced(1)


def test_one_of_two_istiods_not_ready__the_other_takes_the_streams(rig: Rig) -> None:
    sick, well = rig.istiod(), rig.istiod()
    sick.ask("fault", "not-ready", "on")
    rig.gateway(rig.terminate(sick, well))

    vms = rig.vms("--count", 4, "--no-csr")

    well.await_synced(4)
    assert_unseen(vms, 4)


def test_rate_limit_of_istiod__storm_is_paced_and_no_vm_is_refused(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 10)
    gateway = rig.gateway(rig.terminate(istiod, max_new_streams_per_second="auto"))

    vms = rig.vms("--count", 30, "--no-csr", "--node-bytes", 2000)

    istiod.await_synced(30)
    assert_unseen(vms, 30)
    gateway.await_metric("xdsgate_streams_waiting", 0)


def test_fixed_rate__is_kept(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 0)
    gateway = rig.gateway(rig.terminate(istiod, max_new_streams_per_second=1))

    vms = rig.vms("--count", 7, "--no-csr", "--node-bytes", 2000)

    gateway.await_at_least("xdsgate_streams_waiting", 1)  # for some seconds
    until(lambda: len(istiod.vms()) == 7, "all have come")
    assert_unseen(vms, 7)
    assert gateway.metric('xdsgate_upstream_new_streams_per_second{upstream="istiod"}') == 1


def test_no_istiod_at_first__stream_waits_for_it(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    istiod.process.kill()

    vms = rig.vms("--no-csr")
    gateway.await_metric("xdsgate_streams_waiting", 1)
    istiod = rig.restart(istiod)

    istiod.await_synced(1)
    assert_unseen(vms)


def test_certificate_refused_before_any_answer__tried_again_unseen(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod))
    istiod.ask("fault", "not-ready", "on")

    vms = rig.vms()
    until(lambda: vms.status()[0]["csr_ok"] == 1, "a certificate")
    istiod.ask("fault", "not-ready", "off")

    istiod.await_synced(1)
    assert vms.status()[0]["csr_failed"] == 0
