#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes a kubeconfig for xdsgate on an edge host to standard output: the cluster of your current context, and the token
# of the secret that deploy/rbac-tokens.yaml makes.
#   deploy/kubeconfig.sh [SERVER]    SERVER: how the edge host reaches the API server, if not as you do:
#                                    https://10.0.0.11:6443
# A file that it is written to gets mode 0600: it holds a token.
set -eu

if [ -f /dev/stdout ]; then
    chmod 600 /dev/stdout
fi

field() {
    kubectl -n xdsgate get secret xdsgate-token -o "go-template={{with .data}}{{index . \"$1\"}}{{end}}"
}

server=${1:-$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')}
token=$(field token | base64 -d)
ca=$(field ca.crt)
if [ -z "$token" ] || [ -z "$ca" ]; then
    echo "the secret xdsgate/xdsgate-token has no token (yet): kubectl apply -f deploy/rbac-tokens.yaml, and try again" >&2
    exit 1
fi

cat <<END
apiVersion: v1
kind: Config
current-context: mesh
clusters:
- name: mesh
  cluster:
    server: "$server"
    certificate-authority-data: $ca
users:
- name: xdsgate
  user:
    token: $token
contexts:
- name: mesh
  context:
    cluster: mesh
    user: xdsgate
END
