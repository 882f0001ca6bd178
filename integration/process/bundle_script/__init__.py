# SPDX-License-Identifier: Apache-2.0
"""What process tests are made of: the daemon, sandbox programs, sockets, certificates."""
