"""Makes the committed results of a GPU from the archives of the scripts in this folder.

    python3 results.py ARCHIVE...     writes benches/results/gpu-NAME-DATE.json, and the table in docs/gpu.md
    python3 results.py --table        prints the table of all committed results
    python3 results.py --check        fails if the table in docs/gpu.md is another one

An archive is the NAME.tar.gz of conformance, bandwidth, compare or sanitize, of one GPU and one day. Nothing is in the results
but what the archives have. Uses the standard library only.
"""

import json
import re
import sys
import tarfile
import tempfile
from pathlib import Path

import verdicts

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- Results: by benches/gpu/results.py -->", "<!-- End of results -->"

#: The large files of a comparison are left out: pages and pictures, which are made of the report.
MODE_KEYS = ["mode", "status", "reason", "median_ms", "min_ms", "max_ms", "repeats", "threads", "rows", "max_ulp", "gpu", "peer"]


def unpack(archive, folder):
    """Unpacks an archive, and returns the folder of its script."""
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
            name = packed.getnames()[0].split("/")[0]
    except (OSError, tarfile.TarError, IndexError) as error:
        sys.exit(f"error: '{archive}' is no archive of results: {error}")
    if name not in verdicts.SCRIPTS:
        sys.exit(f"error: '{archive}' has results of '{name}', and not of {', '.join(verdicts.SCRIPTS)}")
    return Path(folder) / name


def reports(results):
    """The JSON reports of the steps."""
    found = {}
    for step in results.steps:
        file = results.folder / f"{step}.json"
        if not file.exists():
            continue
        report = json.loads(file.read_text())
        if "modes" in report:
            report["modes"] = [{key: mode.get(key) for key in MODE_KEYS} for mode in report["modes"]]
        found[step] = report
    return found


def gpu_of(results):
    """The name and the driver of the GPU, as nvidia-smi shows them; of a simulated one, as `devices` does."""
    try:
        name, driver, generation, lanes, memory = [field.strip() for field in results.text("gpu").splitlines()[0].split(",")]
        return {"name": name, "driver": driver, "pcie": f"{generation}.0 x{lanes}", "memory": memory}
    except (verdicts.NotMeasured, IndexError, ValueError, OSError):
        return None


def collect(archives):
    """The results of archives: those of one GPU."""
    found = {"schema_version": 1, "gpu": None, "date": None, "scripts": {}}
    for archive in archives:
        with tempfile.TemporaryDirectory() as folder:
            results = verdicts.Results(unpack(archive, folder))
            script = results.folder.name
            gpu = gpu_of(results)
            if gpu is None:
                sys.exit(f"error: '{archive}' does not name a GPU: its step 'gpu' has no output of nvidia-smi")
            if found["gpu"] not in (None, gpu):
                sys.exit(f"error: the archives are of different GPUs or drivers: {found['gpu']} and {gpu}")
            started = (results.folder / "started.txt").read_text().strip()
            found["gpu"], found["date"] = gpu, max(found["date"] or "", started[:10])
            found["scripts"][script] = {
                "command": f"benches/gpu/{script} BINARIES OUT",
                "started": started,
                "steps": results.steps,
                "reports": reports(results),
                "verdicts": verdicts.verdicts(results.folder),
            }
    return found


def measured(results, script, step):
    return results["scripts"].get(script, {}).get("reports", {}).get(step)


def median(report, name):
    """The median of a mode in milliseconds; `None` if it was not measured or its result is wrong."""
    modes = [mode for mode in (report or {}).get("modes", []) if mode["mode"] == name and mode["status"] == "ok"]
    return modes[0]["median_ms"] if modes else None


def cells(name, results):
    """The cells of a row of the table."""
    sizes = (measured(results, "bandwidth", "log3-100000000") or {}).get("sizes") or [{}]
    arrays = measured(results, "compare", "arrays")
    ours, cupy = median(arrays, "cuda"), median(arrays, "cupy")
    machine = next((report.get("machine") for script in results["scripts"].values() for report in script["reports"].values()), None)
    revision = next((report["git_revision"] for script in results["scripts"].values() for report in script["reports"].values()
                     if report.get("git_revision")), None)
    counted = [one["verdict"] for script in results["scripts"].values() for one in script["verdicts"]]

    def shown(value, text):
        return "–" if value is None else text.format(value)

    copy = sizes[0].get("resident_of_device_copy")
    return [
        f"[{results['gpu']['name']}](../benches/results/{name})",
        f"{results['gpu']['driver']}, PCIe {results['gpu']['pcie']}",
        f"{machine['cpu']}, {machine['cores']} cores" if machine else "–",
        results["date"] + (f", {revision}" if revision else ""),
        shown(copy and 100 * copy, "{:.0f} %"),
        shown(sizes[0].get("pinned_of_bus"), "{:.2f} ×"),
        shown(sizes[0].get("ordinary_of_bus"), "{:.2f} ×"),
        shown(cupy / ours if ours and cupy else None, "{:.1f} ×"),
        f"{counted.count('met')} met, {counted.count('NOT MET')} not, {counted.count('not measured')} not measured",
    ]


HEADS = ["GPU", "driver, bus", "host", "date, revision", "log3 resident, of a copy", "pinned, of the bus", "ordinary, of the bus",
         "speed, of CuPy", "expectations"]


def table(folder):
    """The table of all committed results in a folder. Without any, a sentence."""
    files = sorted(folder.glob("gpu-*.json"))
    if not files:
        return "No results of a GPU are committed.\n"
    rows = [HEADS, ["---"] * len(HEADS)]
    rows += [cells(file.name, json.loads(file.read_text())) for file in files]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def page_with_table(page, folder):
    """The text of a page with the table between its marks."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"error: {page} has no marks of the table, '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{table(folder)}\n{END}{after}"


def main(arguments, root=ROOT):
    page, folder = root / "docs" / "gpu.md", root / "benches" / "results"
    if arguments == ["--table"]:
        return print(table(folder), end="")
    if arguments == ["--check"]:
        if page_with_table(page, folder) != page.read_text():
            sys.exit(f"error: the table in {page} is not that of the results: run benches/gpu/results.py with the archives")
        return None
    if not arguments or arguments[0].startswith("-"):
        sys.exit("usage: results.py ARCHIVE... | --table | --check")
    found = collect(arguments)
    name = re.sub(r"[^a-z0-9]+", "-", found["gpu"]["name"].lower()).strip("-")
    file = folder / f"gpu-{name}-{found['date']}.json"
    file.write_text(json.dumps(found, indent=1) + "\n")
    page.write_text(page_with_table(page, folder))
    return print(f"{file}\n{page}")


if __name__ == "__main__":
    main(sys.argv[1:])
