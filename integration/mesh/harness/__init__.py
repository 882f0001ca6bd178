# SPDX-License-Identifier: Apache-2.0
"""A whole Istio mesh as ordinary processes: control plane, edge and VMs in network namespaces."""
