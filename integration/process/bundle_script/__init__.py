# SPDX-License-Identifier: Apache-2.0
"""The script that installs a bundle, on images of VMs; and the other forms of a bundle."""
