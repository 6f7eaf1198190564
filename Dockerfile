# syntax=docker/dockerfile:1

# An image with the command: `docker build -t warpframe .`, then for example
#
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" warpframe sql "SELECT count(*) FROM 'data/*.parquet'"
#
# GPUs need NVIDIA's container toolkit (`--gpus all`), and NVRTC in the image for other formulas than log3. `--init` is for
# `cluster local`, which starts processes.

# The whole image of Rust, not the slim one: it has git, for the revision in `--version`, and a C compiler.
FROM docker.io/library/rust:1-bookworm AS build
WORKDIR /warpframe
COPY . .
# The folders of the caches are not in the image, so the binary is copied.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/warpframe/target \
    cargo build --locked --release -p warpframe --bin warpframe \
    && install -D target/release/warpframe /out/warpframe

FROM docker.io/library/debian:bookworm-slim
# The roots of TLS, for object stores.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 warpframe \
    && install --directory --owner warpframe /data
COPY --from=build /out/warpframe /usr/local/bin/warpframe
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["warpframe"]
CMD ["--help"]
