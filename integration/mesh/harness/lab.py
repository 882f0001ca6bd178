# SPDX-License-Identifier: Apache-2.0
"""The whole laboratory: what is started in which order, and how it is taken down."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import gateway_account, istio, netns, pki
from .edge import Edge
from .entries import Entries
from .istio import Istiod
from .kind_mesh import KindMesh, PodIstiod
from .kube import Kube
from .process_mesh import ProcessMesh
from .processes import Process
from .site import COLUMNS, DIRECT, TOKEN
from .standstill import Standstills
from .vm import VM, Plan
from .wait import Stopwatch

if TYPE_CHECKING:
    from scenarios.firstvm import FirstVM

    from .fleet import Fleet
    from .swarm import Swarm

ATTACKER = 66  # last byte of its address
OBJECTS = Path(__file__).resolve().parent.parent / "objects"

PLANS = {plan.name: plan for plan in (
    Plan("client", group="client", number=10),
    Plan("server", group="server", number=11),
    Plan("by-hand", group="client", number=12, autoregister=False),
    Plan("sotw", group="client", number=13, delta=False),
)}
ALL_VMS = tuple(PLANS)


@dataclass(frozen=True)
class Loss:
    """What an event cost the VMs of a column. Seconds are counted from its beginning."""

    what: str
    vms: int
    deleted: int  # of the WorkloadEntries: each counts once
    unhealthy: int  # those that were there and not healthy for a moment: all of them were deleted
    lost: list[str]  # the deleted ones that nothing but the event explains: deletions.py
    again: int  # VMs that had to connect again
    tries: float  # of each simulated one among them, on average
    ended_s: float  # the event itself
    half_s: float  # half of those were back
    back_s: float  # all were


class Column:
    """One way from a VM to istiod, with its VMs. A VM is started when it is first asked for."""

    def __init__(self, lab: "Lab", name: str) -> None:
        self.lab = lab
        self.name = name  # also the Kubernetes namespace of its VMs
        self.vms: dict[str, VM] = {}
        self.times: list[tuple[str, float]] = []
        self.losses: list[Loss] = []
        self.broken: Exception | None = None  # why nothing can work in this column
        self.swarm_machine = ""  # where its simulated VMs run, once there were some
        self.swarm: Swarm | None = None  # those that run, or have run last
        self.fleet: Fleet | None = None  # hundreds of VMs, while scenarios share them
        self.first: FirstVM | None = None  # a whole machine, installed by a bundle
        self._attacker = ""
        self._no_vms = ""  # which VM never came up, and why
        self._lock = threading.Lock()

    @property
    def relayed(self) -> bool:
        return self.name != DIRECT

    def __str__(self) -> str:
        return self.name

    def vm(self, name: str) -> VM:
        """That VM, healthy once, started now if it was not.

        After one VM of a column has not come up, the next one is not waited for.
        """
        with self._lock:
            if name not in self.vms:
                if self._no_vms:
                    raise RuntimeError(self._no_vms)
                try:
                    self.vms[name] = self._start(PLANS[name])
                except Exception as error:
                    self._no_vms = f"{name} of {self} never came up: {error}"
                    raise
            return self.vms[name]

    @property
    def attacker(self) -> str:
        """The namespace of a machine among the VMs that means no good."""
        with self._lock:
            if not self._attacker:
                address = self.lab.site.machine(self.name, ATTACKER)
                self._attacker = self.lab.add_machine(self, "attacker", address)
            return self._attacker

    def note(self, what: str, seconds: float) -> None:
        """A measured time, for the closing table."""
        self.times.append((what, seconds))

    def note_loss(self, loss: Loss) -> None:
        """What an event cost its VMs, for a table of its own."""
        self.losses.append(loss)

    def _start(self, plan: Plan) -> VM:
        vm = self.lab.new_vm(self, plan)
        vm.configure()
        if not plan.autoregister:
            self.lab.kube.apply(vm.workload_entry())
        vm.start_application()
        watch = Stopwatch()
        vm.start()
        vm.await_health("True")
        self.note(f"{plan.name}: healthy", watch())
        assert vm.first_try(), f"{vm.node}: its agent's log says nothing of its first try"
        return vm


class Lab:
    """Everything of one run, under one folder and one prefix of namespaces."""

    def __init__(self, mesh: ProcessMesh | KindMesh, programs: Path, folder: Path) -> None:
        self.mesh = mesh
        self.programs = programs
        self.folder = folder
        self.site = mesh.site
        self.columns = {name: Column(self, name) for name in COLUMNS}
        self.standstills = Standstills()
        self.entries: Entries
        self.authority: pki.Pair  # the CA of the mesh
        self.edge: Edge

    @property
    def kube(self) -> Kube:
        return self.mesh.kube

    @property
    def istiods(self) -> list[Istiod | PodIstiod]:
        return self.mesh.istiods

    # ---- building it

    def start(self, columns: list[str]) -> None:
        """The control plane, the columns' objects, and the edge when a column needs it."""
        self.mesh.start()
        objects = (OBJECTS / "column.yaml").read_text()
        self.kube.apply("---\n".join(objects.replace("NAMESPACE", name) for name in COLUMNS))
        for name in COLUMNS:
            istio.await_root(self.kube, name)
        self.entries = Entries(self.kube)
        self.authority = istio.mesh_authority(self.kube, self._new_folder("pki"))
        network = self.mesh.network
        machine = network.add_machine("edge", self.site.edge_untrusted, self.site.edge_trusted)
        folder = self._new_folder("edge")
        kubeconfig = gateway_account.make(self.kube, self.mesh.api_server, folder, TOKEN)
        self.edge = Edge(machine, folder, self.site, self.authority, kubeconfig)
        relayed = [self.columns[name] for name in columns if self.columns[name].relayed]
        if relayed:
            self._start_edge(relayed)

    def _start_edge(self, relayed: list[Column]) -> None:
        """Without an edge the relayed columns fail, each with this error; the others run."""
        try:
            self.edge.start()
        except Exception as error:
            for column in relayed:
                column.broken = error

    def new_vm(self, column: Column, plan: Plan) -> VM:
        """A machine for it, with its folder."""
        address = self.site.machine(column.name, plan.number)
        machine = self.add_machine(column, plan.name, address)
        return VM(plan, column.name, address, machine, kube=self.kube, entries=self.entries,
                  way=self.site.way(column.name), programs=self.programs,
                  folder=self._new_folder(f"vms/{column}-{plan.name}"))

    def add_machine(self, column: Column, name: str, address: str) -> str:
        """A namespace among the VMs; behind the edge it cannot reach istiod by itself."""
        shut = [end.address for end in self.site.istiods] if column.relayed else []
        return self.mesh.network.add_machine(f"{column}-{name}", address, unreachable=shut)

    def _new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # ---- taking it down

    def close(self) -> None:
        Process.end_all()
        netns.sweep(self.mesh.network.prefix)

    # ---- small helpers of the scenarios

    def service_account_uid(self, namespace: str, account: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}"
        return self.kube.get(path)["metadata"]["uid"]

    def token(self, namespace: str, account: str, ttl_s: int) -> str:
        """A service account token signed by the cluster's key; expired when `ttl_s` is negative."""
        uid = self.service_account_uid(namespace, account)
        return pki.sign_token(self.mesh.token_key, pki.service_account_claims(
            namespace, account, uid, ttl_s))


def in_parallel(work, items: list) -> list:
    """Runs `work` on every item at once; the first error is raised after all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        return [future.result() for future in [pool.submit(work, item) for item in items]]


def remove_old_folders(parent: Path, ours: Path) -> None:
    """Keeps what others have that run now, and removes what earlier ones left; one of those may have
    had the process id that this one has."""
    for old in sorted(parent.glob("run-*")) if parent.exists() else []:
        if old == ours or not Path(f"/proc/{old.name.removeprefix('run-')}").exists():
            shutil.rmtree(old, ignore_errors=True)
