# SPDX-License-Identifier: Apache-2.0
# The daemon alone, on the Debian release that it is tested on. tools/try-dockerfile runs these
# steps without Docker.
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        build-essential cmake ninja-build pkg-config libcurl4-openssl-dev libev-dev \
        libjansson-dev libmicrohttpd-dev libnghttp2-dev libssl-dev libyaml-dev \
        protobuf-compiler && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DXDSGATE_SANDBOX=OFF -DXDSGATE_BENCH=OFF -DXDSGATE_TESTS=OFF && \
    cmake --build build/release --target xdsgate && \
    strip build/release/xdsgate

FROM debian:12-slim
RUN apt-get update && apt-get upgrade -y && apt-get install -y --no-install-recommends \
        libcurl4 libev4 libjansson4 libmicrohttpd12 libnghttp2-14 libssl3 libyaml-0-2 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin xdsgate && \
    install -d -o 65532 -g 65532 /run/xdsgate
COPY --from=build /src/build/release/xdsgate /usr/bin/xdsgate
USER 65532
# VMs and east-west traffic; metrics and health.
EXPOSE 15012 15443 15095
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/xdsgate"]
CMD ["run", "--config", "/etc/xdsgate/xdsgate.yaml"]
