# The recipes of the project, for https://just.systems. Everything in here is also one plain command.

# Lists the recipes
default:
    @just --list

# Builds the release binary
build:
    cargo build --locked --release

# Runs the tests, or those that the arguments select: `just test --test ops`
test *arguments:
    cargo test --locked {{ arguments }}

# Checks formatting, and runs Clippy with warnings as errors
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Builds the documentation of all items, with warnings as errors
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Runs a benchmark: log3, fusion, process, tpch or gpu
bench name *arguments:
    cargo bench --locked --bench {{ name }} -- {{ arguments }}

# Runs every mode on the same rows: `just compare --rows 1000000`
compare *arguments:
    cargo run --locked --release -- compare {{ arguments }}

# Packs the binaries that `benches/gpu/run` needs on a machine with a GPU into a folder
gpu-pack folder:
    benches/gpu/pack {{ quote(folder) }}

# Regenerates docs/ops.md, the measurements in README.md and docs/peers.md, and the snapshots of plans; review the diff
# afterwards
bless:
    WARPFRAME_BLESS=1 cargo test --locked --test results
    INSTA_UPDATE=always cargo test --locked --test plans --test operators

# Runs everything that must pass before a change is merged
ci:
    .ci/run
