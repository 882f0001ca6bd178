# SPDX-License-Identifier: Apache-2.0
"""`xdsgate doctor` on what the cluster knows: tokens, accounts, WorkloadGroups, WorkloadEntries, and
how istiod is deployed. Needs root."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rig.doctor import ISTIO, ISTIOD as DEPLOYMENT, RBAC, SYSTEM, binding, entry, group
from rig.gateway import ROOT
from rig.kube_api import status
from rig.kube_objects import node, node_port_service, slice_of
from rig.site import EDGE, ISTIOD, OTHER, PORT, TRUSTED, Site


def test_token__all_is_well__nothing_found(site: Site) -> None:
    site.token()
    site.istiod()

    said = site.doctor("--kubeconfig", site.cluster().kubeconfig("admin"))

    assert said.findings == []
    assert said.looks("a token of service account vm in namespace vms")
    assert said.looks("the clock, by that of the Kubernetes API server")
    assert said.looks("docker.io/istio/pilot:1.31.0")
    assert said.not_looked_at == []


def test_kubernetes__away__said_and_exit_3(site: Site) -> None:
    site.token().cluster().stop()

    said = site.doctor("--no-network")

    said.has("kubernetes-unreachable", "not reachable",
             f"kubectl --kubeconfig {site.cluster().kubeconfig()} get --raw /readyz")
    assert said.code == 3


def test_kubernetes__of_the_daemon_away__the_other_one_is_asked_all_the_same(
        site: Site) -> None:
    other = site.token().other_cluster()
    away = other.kubeconfig("away")
    other.stop()
    site.config["kubernetes"] = {"kubeconfig": str(away), "context": "here"}

    said = site.look()

    said.has("kubernetes-unreachable", "not reachable",
             f"kubectl --kubeconfig '{away}' --context here get --raw /readyz")
    assert said.code == 3
    assert said.skips(f"tokens: the API server of {away} did not answer before")
    assert said.looks("the WorkloadEntries of namespace vms")


def test_kubernetes__credentials_refused__said(site: Site) -> None:
    site.token()
    site.config["kubernetes"] = {"kubeconfig": str(
        site.cluster().kubeconfig("stale", "Bearer gone"))}

    said = site.doctor("--no-network")

    said.has("kubernetes-refuses", "401", "auth whoami")
    assert "gone" not in str(said.findings)


@pytest.mark.parametrize("name", [[], ["web.vms"]])
def test_kubernetes__that_knows_nothing_of_istio__said(site: Site, name: list[str]) -> None:
    for path in [f"{ISTIO}/workloadgroups", f"{ISTIO}/workloadentries"]:
        del site.cluster().lists[path]

    said = site.look(*name)

    said.has("kubernetes-no-istio", "knows no workloadgroups.networking.istio.io: is it the right "
             "cluster?", "config get-contexts")
    assert said.ids() == {"kubernetes-no-istio"}


def test_kubernetes__answer_that_is_too_large__the_others_are_looked_at(site: Site) -> None:
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [
        group("web", "vm", padding="x" * 5_000_000)]

    said = site.look()

    said.has("kubernetes-unreachable", "bad answer", "get --raw /readyz")
    assert said.code == 3
    assert said.looks("the WorkloadEntries of namespace vms")


@pytest.mark.parametrize(("ahead", "text"), [(-7300, "2 h ahead of"), (600, "9 min behind")])
def test_clock__not_that_of_the_api_server__said(site: Site, ahead: int, text: str) -> None:
    site.token().cluster().ahead_s = ahead

    site.doctor("--no-network").has("clock", f"{text} that of the Kubernetes API server",
                                    "timedatectl")


def test_account__missing__said(site: Site) -> None:
    site.token().cluster().accounts.clear()

    site.doctor("--no-network").has("account-missing", "no service account vm in namespace vms",
                                    "kubectl -n vms create serviceaccount vm")


def test_token__forbidden__said(site: Site) -> None:
    site.token().cluster().forbidden.add("vms/vm")

    site.doctor("--no-network").has("token-forbidden", "vm in namespace vms", "--resource-name=vm")


def test_token__of_another_cluster_than_that_looked_at__the_command_is_for_that(
        site: Site) -> None:
    other = site.token().other_cluster()
    other.accounts.clear()
    site.config["kubernetes"] = {"kubeconfig": str(other.kubeconfig())}

    said = site.look()

    assert said.looks("the WorkloadEntries of namespace vms")
    said.has("account-missing", "no service account vm in namespace vms",
             f"kubectl --kubeconfig '{other.kubeconfig()}' -n vms create serviceaccount vm")


def test_token__refused_otherwise__said(site: Site) -> None:
    site.token().cluster().fail(422, "Invalid")

    site.doctor("--no-network").has("token-failed", "422", "kubectl -n vms create token vm")


def test_token__of_any_account__warned(site: Site) -> None:
    site.token().cluster().may_make_all = True

    site.doctor("--no-network").has("token-too-wide", "every service account of namespace vms",
                                    level="warning")


@pytest.mark.parametrize(("verbs", "text"), [({"list", "watch"}, "list and watch"),
                                             ({"list"}, "list"), ({"watch"}, "watch")])
def test_roots__of_the_mesh_may_not_be_read__warned_which_right(
        site: Site, verbs: set[str], text: str) -> None:
    site.token().cluster().may_not = verbs

    said = site.doctor("--no-network")

    said.has("roots-forbidden", f"the gateway may not {text} ConfigMap istio-ca-root-cert of "
             "namespace istio-system: nobody is told when the mesh publishes a new root",
             "kubectl apply -f deploy/rbac-roots.yaml", "warning")
    assert said.ids() == {"roots-forbidden"}


def test_roots__that_are_to_be_followed_and_may_not_be_read__said(site: Site) -> None:
    site.token().cluster().may_not = {"watch"}
    site.config["kubernetes"] |= {"follow_roots": True, "istio_namespace": "mesh"}
    site.cluster().roots_namespace = "mesh"

    site.look().has(
        "roots-forbidden", "of namespace mesh: `follow_roots` cannot follow them",
        "sed 's/: istio-system/: mesh/' deploy/rbac-roots.yaml | kubectl --kubeconfig "
        f"{site.cluster().kubeconfig('admin')} apply -f -")


def test_roots__may_be_read__said_that_it_was_looked_at(site: Site) -> None:
    said = site.token().doctor("--no-network")

    assert said.findings == []
    assert said.looks("whether the gateway may see the roots that the mesh publishes")


def test_roots__nobody_believes_any__the_right_is_not_asked_for(site: Site) -> None:
    site.token().cluster().may_not = {"list", "watch"}
    site.config["listeners"][0] |= {"routes": [{"sni": ["*"], "mode": "passthrough",
                                                "upstream": "raw"}]}
    del site.config["listeners"][0]["tls"], site.config["listeners"][0]["vm_identities"]
    site.config["upstreams"] = [{"name": "raw", "endpoints": ["10.77.0.1:15012"]}]

    assert site.doctor("--no-network").findings == []


@pytest.mark.parametrize("where", ["rolebindings", "clusterrolebindings"])
def test_account__with_rights_of_its_own__warned(site: Site, where: str) -> None:
    site.token().cluster().lists[f"{RBAC}/{where}"] = [binding("other", "else"),
                                                       binding("reader", ns="shop")]

    said = site.look()

    said.has("account-has-rights", "service account vm of namespace vms has rights of its own by",
             "--as system:serviceaccount:vms:vm", "warning")
    assert len(said.findings) == 1
    assert "Binding reader" in said.findings[0]["text"]


def test_account__pattern__is_said_to_be_left_out(site: Site) -> None:
    site.token()
    site.config["listeners"][0]["vm_identities"] = ["ns/vms/sa/*", "ns/*/sa/web"]

    said = site.doctor("--no-network")

    assert said.skips("tokens of the service accounts of namespace vms: it is a pattern")
    assert said.skips("ns/*/sa/web: it names no namespace")


def test_accounts__very_many__what_is_left_out_is_said(site: Site) -> None:
    site.token().cluster().accounts |= {f"vms/a{i}" for i in range(70)}
    identities = [f"ns/vms/sa/a{i}" for i in range(70)]
    site.config["listeners"][0]["vm_identities"] = identities

    said = site.doctor("--no-network")

    assert said.looks("a token of service account a63 in namespace vms")
    assert said.skips("service accounts of `vm_identities`: more than the first 64")


def test_group__of_no_such_account__warned(site: Site) -> None:
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [group("web", "other")]

    site.look().has("group-missing", "no WorkloadGroup of namespace vms has service account vm",
                    "get workloadgroups", "warning")


def test_group__impatient_probe__warned(site: Site) -> None:
    probe = {"httpGet": {"port": 80}}
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [
        group("web", "vm", probe=probe), group("db", "vm", probe={**probe, "failureThreshold": 3})]

    said = site.look()

    row = said.has("probe-impatient", "WorkloadGroup web of namespace vms",
                   "patch workloadgroup web", "warning")
    assert "xdsgate bundle create web -n vms, and install it" in row["command"]
    assert len(said.findings) == 1


def test_group__of_the_example__has_a_patient_probe(site: Site) -> None:
    rows = list(yaml.safe_load_all((ROOT / "deploy/first-vm.yaml").read_text()))
    groups = [row for row in rows if row["kind"] == "WorkloadGroup"]
    site.config["listeners"][0]["vm_identities"] = ["ns/vms/sa/web"]
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = groups

    assert groups and site.look().findings == []


def test_cluster_id__not_the_meshs__said(site: Site) -> None:
    site.token().config["kubernetes"]["cluster_id"] = "one"
    site.cluster().config_map("istio-sidecar-injector", "values",
                              '{"global": {"multiCluster": {"clusterName": "two"}}}')
    site.look().has("cluster-id", "cluster_id is one, but the mesh calls its cluster two",
                    f"`cluster_id: two` under `kubernetes:` in {site.file}")

    site.config["kubernetes"]["cluster_id"] = "two"
    assert site.look().findings == []


def test_cluster_id__tokens_of_another_cluster_than_that_looked_at__not_compared(
        site: Site) -> None:
    other = site.token().other_cluster()
    site.config["kubernetes"] = {"kubeconfig": str(other.kubeconfig()), "cluster_id": "remote"}
    site.cluster().config_map("istio-sidecar-injector", "values",
                              '{"global": {"multiCluster": {"clusterName": "primary"}}}')

    said = site.look()

    assert said.findings == []
    assert said.skips("cluster_id: ")


@pytest.mark.parametrize("identity", ["forward", "token"])
def test_vm_cluster_id__not_the_meshs__said_of_whom_istiod_does_not_let_in(
        site: Site, identity: str) -> None:
    rig = site.token().rig
    site.upstream()["identity"] = identity
    site.cluster().config_map("istio-sidecar-injector", "values",
                              '{"global": {"multiCluster": {"clusterName": "Kubernetes"}}}')
    gateway = rig.gateway(rig.terminate(rig.istiod(), identity="forward"))
    site.config["admin"] = {"socket": str(gateway.socket)}
    rig.vms("--cluster-id", "two", "--no-csr", "--name-prefix", "lost").await_last_end()
    rig.vms("--name-prefix", "well", "--ip-base", "10.99.0.9")
    rig.istiods[0].await_synced(1)

    said = site.look()

    assert said.looks("the cluster IDs of the VMs that the daemon knows")
    if identity == "token":  # it says the cluster for its VMs
        assert said.findings == []
        return
    said.has("vm-cluster-id", "VMs that istiod does not let in say another cluster ID than "
             "Kubernetes, the mesh's: lost-1.vms (two)",
             f"bundle create GROUP -n NAMESPACE --kubeconfig {site.cluster().kubeconfig('admin')} "
             "--clusterID Kubernetes")
    assert said.ids() == {"vm-cluster-id"}


def served(site: Site, *versions: str) -> None:
    """A daemon with a VM of each version."""
    rig = site.rig
    gateway = rig.gateway(rig.terminate(rig.istiod(), identity="forward"))
    site.config["admin"] = {"socket": str(gateway.socket)}
    for i, version in enumerate(versions):
        rig.vms("--istio-version", version, "--name-prefix", f"v{version.replace('.', '-')}",
                "--ip-base", f"10.99.{i}.9")
    rig.istiods[0].await_synced(len(versions))


def test_versions__of_vms_that_istiod_does_not_support__warned(site: Site) -> None:
    served(site, "1.29.3", "1.30.0", "1.31.4", "1.32.0")

    said = site.look()

    row = said.has("version-skew", "VMs run an Istio that does not go with 1.31.0, the version of "
                   "Deployment istiod of namespace istio-system: ",
                   "of Istio 1.31.0 on each of them", "warning")
    assert "v1-29-3-1.vms (1.29.3)" in row["text"] and "v1-32-0-1.vms (1.32.0)" in row["text"]
    assert "1.30.0" not in row["text"] and "1.31.4" not in row["text"]
    assert said.ids() == {"version-skew"}


def test_versions__of_an_istiod_that_does_not_say_it__not_compared(site: Site) -> None:
    served(site, "1.20.0")
    deployment = site.cluster().things[DEPLOYMENT]
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "istio/pilot@sha256:0"

    said = site.look()

    assert said.findings == []
    assert said.skips("versions of VMs beside that of Deployment istiod")


def test_versions__of_vms_of_another_revision__not_compared(site: Site) -> None:
    served(site, "1.20.0")
    site.upstream()["tls"]["server_name"] = "istiod-canary.istio-system.svc"

    said = site.look()

    assert said.findings == []
    assert said.looks("the Istio versions of the VMs")


def test_versions__of_vms_whose_istiod_is_not_known__said(site: Site) -> None:
    served(site, "1.20.0")
    site.upstream()["tls"]["server_name"] = "mesh.example.com"

    said = site.look()

    assert said.findings == []
    assert not said.looks("the Istio versions of the VMs")
    assert said.skips("versions of VMs (1) beside that of Deployment istiod: it is not known")


def test_vm_cluster_id__no_daemon_runs__said(site: Site) -> None:
    site.config["admin"] = {"socket": str(site.home / "nobody.sock")}

    assert site.look().skips("the VMs that the daemon knows: ")


def test_roots__of_the_mesh_not_known_to_a_listener__said(site: Site,
                                                          other_root: tuple[Path, Path]) -> None:
    both = site.root.read_text() + other_root[0].read_text()
    site.cluster().config_map("istio-ca-root-cert", "root-cert.pem", both)

    said = site.look()

    said.has("roots-old", "listener istiod does not know the mesh's root O=other",
             "istio-ca-root-cert")
    assert len(said.findings) == 1


def test_cluster__may_not_be_read__noted_and_nothing_found(site: Site) -> None:
    site.cluster().fail(403, "Forbidden")

    said = site.look()

    assert said.findings == []
    assert said.skips("workloadgroups of namespace vms: ")
    assert said.skips("--kubeconfig names somebody who has")


# ---- VMs, as the cluster knows them ----

def entries(site: Site, *rows: dict) -> None:
    site.cluster().lists[f"{ISTIO}/workloadentries"] = list(rows)


def test_entries__one_address_twice__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7"), entry("web-2", "10.0.0.8"),
            entry("db-1", "10.0.0.7"), entry("far-1", "10.0.0.7", network="far"))

    said = site.look()

    said.has("entry-duplicate", "WorkloadEntries web-1 and db-1 of namespace vms have the same "
             "address 10.0.0.7", "get workloadentries web-1 db-1")
    assert len(said.findings) == 1


def test_entries__very_many__looked_at_page_by_page(site: Site) -> None:
    annotations = {"padding": "x" * 10_000}
    entries(site, *[entry(f"web-{i:04}", f"10.1.{i // 250}.{i % 250}", annotations=annotations)
                    for i in range(600)], entry("web-last", "169.254.3.3"))

    said = site.look()

    said.has("entry-address", "WorkloadEntry web-last", "ISTIO_SVC_IP")
    assert said.ids() == {"entry-address"}


def test_vm__behind_what_is_looked_at_of_a_list__found(site: Site) -> None:
    entries(site, *[entry(f"web-{i:04}", f"10.1.{i // 250}.{i % 250}") for i in range(2100)],
            entry("web-last", "169.254.3.3"))

    said = site.look("web-last.vms")

    said.has("entry-address", "WorkloadEntry web-last", "ISTIO_SVC_IP")
    assert said.ids() == {"entry-address"}
    assert said.skips("workloadentries of namespace vms: more than the first 2000")


def test_entry__link_local_address__said(site: Site) -> None:
    entries(site, entry("web-1", "169.254.3.3"), entry("web-2", "fe80::1"),
            entry("web-3", "vm.example.com"))

    said = site.look()

    said.has("entry-address", "WorkloadEntry web-1 of namespace vms has the address 169.254.3.3",
             "set ISTIO_SVC_IP=ADDRESS in /var/lib/istio/envoy/cluster.env on the VM")
    assert len(said.findings) == 2


def test_entry__without_a_vm_for_long__warned(site: Site) -> None:
    gone = {"istio.io/disconnectedAt": "2020-01-02T03:04:05.678Z"}
    entries(site, entry("web-1", "10.0.0.7", annotations=gone))

    site.look().has("entry-gone", "web-1 of namespace vms has had no VM since 2020-01-02",
                    "delete workloadentry web-1", "warning")


def test_entry__probe_fails__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7", conditions=[
        {"type": "Healthy", "status": "False", "message": "dial tcp: refused\n"}]))

    site.look().has("entry-unhealthy", "the probe of WorkloadEntry web-1 of namespace vms fails: "
                    "dial tcp: refused?")


BEFORE, CHANGED, AFTER = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))


def labelled(site: Site, *rows: dict) -> None:
    """Group web says version=v2 since CHANGED, and has these entries."""
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [
        {"metadata": {"name": "web", "namespace": "vms",
                      "managedFields": [{"manager": "kubectl", "time": CHANGED}]},
         "spec": {"template": {"serviceAccount": "vm", "labels": {"version": "v2"}},
                  "metadata": {"labels": {"app": "web"}}}}]
    entries(site, *rows)


def made(when: str, row: dict) -> dict:
    """An entry that is there since then."""
    return {**row, "metadata": {**row["metadata"], "creationTimestamp": when}}


def test_entry__labels_of_before_its_group_was_changed__warned(site: Site) -> None:
    rows = [made(BEFORE, entry(f"web-{i}", f"10.0.0.{i}",
                               labels={"version": "v1", "app": "web", "own": "1"}))
            for i in range(1, 4)]
    labelled(site, *rows, entry("web-4", "10.0.0.4", labels={"app": "web"}),
             made(AFTER, entry("web-5", "10.0.0.5", labels={"app": "web", "version": "v2"})),
             made(AFTER, entry("web-6", "10.0.0.6", labels={"app": "web", "version": "v3"})),
             entry("db-1", "10.0.1.1", annotations={"istio.io/autoRegistrationGroup": "db"}))

    said = site.look()

    row = said.has(
        "entry-labels", "WorkloadGroup web of namespace vms says version=v2, but WorkloadEntries "
        "of it do not: web-1 (v1), web-2 (v1), web-3 (v1) and 1 more",
        "-n vms label --overwrite workloadentries web-1 web-2 web-3 web-4 version=v2  # without "
        "those that have another value on purpose; then make the bundle of each VM anew, xdsgate "
        "bundle create web -n vms", "warning")
    assert f"kubectl --kubeconfig {site.cluster().kubeconfig('admin')} -n vms" in row["command"]
    assert said.ids() == {"entry-labels"} and len(said.findings) == 1


def test_entry__labelled_by_that_command__nothing_found(site: Site) -> None:
    labelled(site, entry("web-1", "10.0.0.1", labels={"version": "v1", "app": "web"},
                         own_labels={"version": "v2"}))

    assert site.look().findings == []


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_entry__labels_of_a_vms_own__nothing_found(site: Site, version: str) -> None:
    labelled(site, entry("web-1", "10.0.0.1", labels={"version": "v2", "app": "web"}),
             entry("web-2", "10.0.0.2", labels={"version": version, "app": "web"}))

    assert site.look().findings == []


@pytest.mark.parametrize(("values", "finds"), [(["v1", "v2"], False), (["v2", "v3"], True)])
def test_entry__labels_that_the_configuration_allows__nothing_found(
        site: Site, values: list[str], finds: bool) -> None:
    labelled(site, entry("web-1", "10.0.0.1", labels={"version": "v1", "app": "web"}),
             entry("web-2", "10.0.0.2", labels={"version": "v1", "app": "web"}))
    site.config["listeners"][0]["registration"] = {"allow": [
        {"identity": "ns/vms/sa/vm", "labels": {"version": values}}]}

    assert site.look().ids() == ({"entry-labels"} if finds else set())


@pytest.mark.parametrize(("name", "finds"), [("web-1", True), ("web-2", False), ("web-3", True),
                                             ("web", True)])
def test_vm__labels_that_are_not_those_of_its_group__said_of_that_one(
        site: Site, name: str, finds: bool) -> None:
    rows = [made(BEFORE, entry(f"web-{i}", f"10.0.0.{i}", labels=labels))
            for i, labels in [(1, {"version": "v1", "app": "web"}), (3, {"app": "web"}),
                              (4, {"version": "v1", "app": "web"})]]
    labelled(site, *rows,
             made(AFTER, entry("web-2", "10.0.0.2", labels={"version": "v2", "app": "web"})))

    said = site.look(f"{name}.vms")

    assert said.ids() == ({"entry-labels"} if finds else set())


def test_vm__named_by_its_entry__only_that_one(site: Site) -> None:
    bad = [{"type": "Healthy", "status": "False", "message": "no"}]
    entries(site, entry("web-1", "10.0.0.7", conditions=bad),
            entry("web-2", "10.0.0.8", conditions=bad))

    said = site.look("web-1.vms")

    said.has("entry-unhealthy", "web-1")
    assert len(said.findings) == 1


def test_vm__unknown__said(site: Site) -> None:
    site.look("web-9", "-n", "vms").has(
        "vm-unknown", "no WorkloadEntry and no WorkloadGroup web-9 in namespace vms",
        "ssh VM sudo xdsgate doctor")


def test_vm__of_a_namespace_that_is_a_number__by_the_option(site: Site) -> None:
    there = "/apis/networking.istio.io/v1/namespaces/7"
    site.cluster().lists |= {f"{there}/workloadgroups": [], f"{there}/workloadentries": []}

    site.look("web", "-n", "7").has("vm-unknown", "web in namespace 7")


def test_vm__that_no_listener_lets_in__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7", account="other"))

    site.look("web-1.vms").has("vm-not-let-in", "service account other of namespace vms",
                               f'"ns/vms/sa/other" into `vm_identities:` in {site.file}')


def test_vm__named_by_its_group__its_account_is_tried(site: Site) -> None:
    site.token().cluster().forbidden.add("vms/vm")

    site.look("web.vms").has("token-forbidden", "vm in namespace vms")


# ---- istiod, as Kubernetes says where it is ----

def discovered(site: Site, service: str = "istiod", **more: str) -> Site:
    """The daemon follows a service of the cluster."""
    site.token()
    del site.upstream()["endpoints"]
    site.upstream()["discovery"] = {"kubernetes": {"service": service, **more}}
    return site


def pods(site: Site, *addresses: str, **more: object) -> None:
    objects = site.cluster().objects
    objects.put("endpointslices", slice_of("istiod-1", "istiod", PORT, *addresses, **more))
    objects.put("endpointslices", slice_of("other-1", "other", PORT, "10.77.9.9"))


def test_discovered__pods__each_is_looked_at(site: Site) -> None:
    discovered(site).istiod()
    pods(site, ISTIOD, EDGE)

    said = site.doctor()

    assert said.looks("where Kubernetes says that upstream istiod is: service istiod of namespace "
                      "istio-system")
    assert said.looks(f"istiod at {ISTIOD}:{PORT}, upstream istiod: it does not believe")
    said.has("upstream-unreachable", f"upstream istiod cannot be reached at {EDGE}:{PORT}")
    assert len(said.findings) == 1


def test_discovered__nodes__the_node_port_of_those_with_pods(site: Site) -> None:
    discovered(site, "istiod-xdsgate", addresses="nodes").istiod()
    objects = site.cluster().objects
    objects.put("endpointslices", slice_of("istiod-1", "istiod-xdsgate", 15012, "10.44.0.1"))
    objects.put("nodes", node("node-1", InternalIP=ISTIOD))
    objects.put("nodes", node("node-2", InternalIP=EDGE))
    site.cluster().lists[f"{SYSTEM}/services"] = [
        node_port_service("another", 1), node_port_service("istiod-xdsgate", PORT)]

    said = site.doctor()

    assert said.findings == []
    assert said.looks(f"istiod at {ISTIOD}:{PORT}, upstream istiod: it does not believe")


def test_discovered__passthrough__xfcc_believed_is_seen(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32", f"{OTHER}/32")
    pods(site, ISTIOD)
    site.config["kubernetes"] = {"kubeconfig": str(site.cluster().kubeconfig())}
    del site.upstream(1)["endpoints"]
    site.upstream(1)["discovery"] = {"kubernetes": {}}

    said = site.doctor()

    said.has("xfcc-believed", f"from {OTHER}, from which upstream raw passes on what VMs write")
    assert said.ids() == {"xfcc-believed"}


def test_discovered__no_pod_ready__said(site: Site) -> None:
    pods(discovered(site), ISTIOD, ready=False)

    said = site.doctor()

    said.has("discovery-empty", "upstream istiod has no endpoints: no pod of service "
             "istio-system/istiod with port", "kubectl -n istio-system get services,endpointslices")
    assert said.ids() == {"discovery-empty"}


def test_discovered__may_not_be_listed__said_which(site: Site) -> None:
    discovered(site, "istiod-xdsgate", addresses="nodes")
    body = status(403, "Forbidden", "services is forbidden")
    site.cluster().instead = lambda path: (403, {}, body) if "/services?" in path else None

    said = site.doctor()

    said.has("discovery-forbidden", "the gateway may not list services, which say where the "
             "endpoints of upstream istiod are", "kubectl apply -f deploy/rbac-discovery.yaml  # "
             "for service istiod-xdsgate of namespace istio-system")
    assert said.ids() == {"discovery-forbidden"}
    assert said.skips("upstream istiod from here: Kubernetes does not say where it is")


def test_discovered__answer_without_sense__said(site: Site) -> None:
    discovered(site)
    site.cluster().instead = lambda path: (
        (200, {}, b'{"items": 7}') if "endpointslices" in path else None)

    said = site.doctor()

    said.has("kubernetes-unreachable", "endpointslices: the API server sent something else")
    assert said.looks("a token of service account vm in namespace vms")


def test_discovered__api_server_away__said_once(site: Site) -> None:
    discovered(site).cluster().stop()

    said = site.doctor()

    said.has("kubernetes-unreachable", "not reachable")
    assert (len(said.findings), said.code) == (1, 3)
    assert said.skips("upstream istiod from here: Kubernetes does not say where it is")


# ---- istiod, as it is deployed ----

def test_istiod__not_there__said(site: Site) -> None:
    site.look("-r", "canary").has("istiod-missing", "no Deployment istiod-canary in namespace "
                                  "istio-system", " -n istio-system get deployments")


def test_istiod__every_switch__has_its_cause(site: Site) -> None:
    site.cluster().deploy(PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION="false",
                          PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS="0",
                          PILOT_ENABLE_XDS_IDENTITY_CHECK="False",
                          ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY="f")

    said = site.look()

    said.has("autoregistration-off", "registers no VMs")
    said.has("healthchecks-off", "ignores what VMs say", level="warning")
    said.has("identity-check-off", "gives any VM the configuration")
    said.has("entry-check-off", "registers VMs under names of others")
    said.has("grace-period", "istiod takes a VM out of the mesh 10s after its stream has ended",
             "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=120s", "warning")


def test_trusted__more_than_one_address__said(site: Site) -> None:
    site.cluster().deploy(TRUSTED_GATEWAY_CIDR=f"{TRUSTED}/32, 10.77.0.0/24",
                          PILOT_WORKLOAD_ENTRY_GRACE_PERIOD="1m")

    said = site.look()

    said.has("trusted-too-wide", "from 10.77.0.0/24, which is more than one address",
             f"instead of 10.77.0.0/24, name each gateway (this one: {TRUSTED}/32)")
    said.has("trusted-passthrough", f"covers {OTHER}, from which upstream raw",
             f"instead of 10.77.0.0/24, name each gateway (this one: {TRUSTED}/32)")


def test_door__hides_the_source__warned(site: Site) -> None:
    site.cluster().lists[f"{SYSTEM}/services"] = [site.cluster().service(policy="Cluster")]

    site.look().has("door-hides-source", "Service istiod-xdsgate of namespace istio-system hides",
                    '"externalTrafficPolicy":"Local"', "warning")
