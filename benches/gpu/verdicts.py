"""Compares what the scripts of this folder have measured with what was expected.

    python3 verdicts.py RESULTS [--step STEP]

RESULTS is the folder of a script, with `steps.tsv` and the output of every step. Prints the expectations of one step or of all
of them: what was expected, what was seen, and `met`, `NOT MET` or `not measured`. Without --step it also writes them to
RESULTS/verdicts.json. Uses the standard library only.
"""

import csv
import json
import re
import sys
from pathlib import Path

#: The goals: the rate of resident f64 log3 relative to a copy in GPU memory, times relative to the slower direction of the bus,
#: and the speed relative to CuPy, host to host.
OF_COPY, PINNED_OF_BUS, ORDINARY_OF_BUS, OF_CUPY = 0.90, 1.15, 1.60, 3.0

#: GB/s of a lane by the generation of PCI Express.
LANE = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}


class NotMeasured(Exception):
    """Why an expectation cannot be judged."""


class Results:
    """The folder of a script's results."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.steps = {}
        file = self.folder / "steps.tsv"
        for line in file.read_text().splitlines() if file.exists() else []:
            name, status, seconds, what = line.split("\t")
            self.steps[name] = {"status": status, "seconds": int(seconds), "what": what}

    def status(self, step):
        """`ok`, `failed` or `stopped`."""
        found = self.steps.get(step)
        if found is None or found["status"] == "skipped":
            raise NotMeasured(found["what"] if found else "the step has not run")
        return found["status"]

    def text(self, step):
        """The output of a step."""
        self.status(step)
        return (self.folder / f"{step}.txt").read_text(errors="replace")

    def report(self, step):
        """The JSON file of a step: what it had measured when it ended or was stopped."""
        status = self.status(step)
        file = self.folder / f"{step}.json"
        if not file.exists():
            raise NotMeasured(f"no report: the step is {status}")
        return json.loads(file.read_text())


def percent(ratio):
    return f"{100 * ratio:.1f} %"


def line(text, name):
    """The rest of the line of `warpframe devices` that begins with a name."""
    found = re.search(rf"^{name} +(.*)$", text, re.M)
    return found[1] if found else f"no line about the {name}"


def usable_gpu(results):
    seen = line(results.text("devices"), "GPU")
    return seen, not seen.startswith(("none", "no line"))


def has_nvrtc(results):
    seen = line(results.text("devices"), "driver")
    return seen, bool(re.search(r"NVRTC \d", seen))


def tests_pass(step):
    """The tests of a step have passed, on the GPU of the machine."""

    def judge(results):
        text = results.text(step)
        found = re.search(r"test result: \w+\. (\d+) passed; (\d+) failed", text)
        if not found:
            return f"the tests did not end: {results.steps[step]['what']}", False
        on_gpu = "nothing is tested on a real GPU" not in text
        seen = f"{found[1]} passed, {found[2]} failed{'' if on_gpu else ', none of them on a GPU'}"
        return seen, on_gpu and int(found[1]) > 0 and found[2] == "0"

    return judge


def mode(report, name):
    """A mode of a comparison."""
    for found in report["modes"]:
        if found["mode"] == name:
            if found["status"] == "skipped":
                raise NotMeasured(f"{name}: {found['reason']}")
            return found
    raise NotMeasured(f"{name} was not run")


def agrees(step, name):
    """A mode has run on the GPU, and the comparison has verified its result."""

    def judge(results):
        found = mode(results.report(step), name)
        if found["status"] != "ok":
            return f"{found['status']}: {found['reason']}", False
        ulp, fallback = found["max_ulp"], (found["gpu"] or {}).get("fallback_batches", 0)
        seen = f"the sum {found['sum']}" if ulp is None else f"every row within {ulp} ULP"
        return seen + (f", but the CPU evaluated {fallback} batches" if fallback else ""), not fallback

    return judge


def same_rows(results):
    """SQL has the same rows on the GPU and in the interpreter."""
    tables = []
    for step in ["sql-gpu", "sql-reference"]:
        if results.status(step) != "ok":
            raise NotMeasured(f"{step} has failed")
        rows = csv.reader(text for text in results.text(step).splitlines() if "," in text)
        tables.append([[float(value) for value in row] for row in list(rows)[1:]])
    one, other = tables
    if [len(row) for row in one] != [len(row) for row in other] or not one:
        return f"{len(one)} and {len(other)} rows", False
    pairs = [pair for rows in zip(one, other) for pair in zip(*rows)]
    worst = max(abs(a - b) / max(abs(a), abs(b), 1.0) for a, b in pairs)
    return f"{len(one)} rows, within {worst:.1e}", worst <= 1e-12


def of_bus(step, kind, bound):
    def judge(results):
        size = measured(results, step)["sizes"][0]
        ratio = size[f"{kind}_of_bus"]
        return f"{ratio:.2f} x ({size[f'{kind}_ms']:.3f} ms; the CPU {size['cpu_ms']:.3f} ms)", ratio <= bound

    return judge


def measured(results, step):
    """The report of the benchmark for a number of rows."""
    report = results.report(step)
    if not report["sizes"]:
        raise NotMeasured("the step ended before the first result")
    return report


def of_copy(step):
    def judge(results):
        report = measured(results, step)
        size, copy = report["sizes"][0], report["rates"]["device_copy"]
        ratio = size["resident_of_device_copy"]
        seen = f"{percent(ratio)} ({size['resident_gb_per_s']:.0f} of {copy:.0f} GB/s, {size['resident_ms']:.3f} ms)"
        return seen, ratio >= OF_COPY

    return judge


def of_link(step):
    """Copies reach most of the bandwidth of the bus, by the generation and the lanes that nvidia-smi shows."""

    def judge(results):
        rates = results.report(step)["rates"]
        fields = [field.strip() for field in results.text("gpu").split("\n")[0].split(",")]
        if len(fields) < 4 or not fields[2].isdigit() or not fields[3].isdigit() or int(fields[2]) not in LANE:
            raise NotMeasured("nvidia-smi shows no PCI Express link")
        link = LANE[int(fields[2])] * int(fields[3])
        seen = f"{rates['h2d']:.1f} GB/s to the GPU, {rates['d2h']:.1f} from it, of {link:.0f}"
        return seen, min(rates["h2d"], rates["d2h"]) >= 0.7 * link

    return judge


def default_chunks(kind):
    """The default size of chunks is nearly as fast as the best one."""

    def judge(results):
        chunks = results.report("chunks")["chunks"]
        default = [chunk for chunk in chunks if chunk["default"]]
        if not default:
            raise NotMeasured("the step ended before the default was measured")
        unit = next(key for key in chunks[0] if key.startswith("chunk_"))
        best = min(chunks, key=lambda chunk: chunk[kind])
        seen = f"{default[0][kind]:.3f} ms with {default[0][unit]:,} ({unit}); best {best[kind]:.3f} ms with {best[unit]:,}"
        return seen, default[0][kind] <= 1.05 * best[kind]

    return judge


def as_fast(step, ours, theirs, ratio):
    """A mode is so many times as fast as an external tool."""

    def judge(results):
        report = results.report(step)
        one, other = mode(report, ours), mode(report, theirs)
        for found in [one, other]:
            if found["median_ms"] is None:
                raise NotMeasured(f"{found['mode']}: {found['reason']}")
        seen = other["median_ms"] / one["median_ms"]
        return f"{seen:.2f} x ({one['median_ms']:.2f} and {other['median_ms']:.2f} ms)", seen >= ratio

    return judge


def auto_is_right(results):
    """`auto` selects the faster one of GPU and CPU. Within 20 % of each other, either is right."""
    report = results.report("arrays")
    times = [mode(report, name)["median_ms"] for name in ["cuda", "parallel"]]
    chosen = re.search(r"log3\[([^\]]*)\]", results.text("auto"))
    if not chosen or None in times:
        raise NotMeasured("the plan has no log3" if not chosen else "a mode has failed")
    ratio = times[0] / times[1]
    seen = f"{chosen[1]}; measured: GPU {times[0]:.2f} ms, CPU {times[1]:.2f} ms"
    return seen, ratio <= 1.2 if chosen[1].startswith("cuda") else ratio >= 0.8


def no_errors(step):
    """compute-sanitizer has found nothing."""

    def judge(results):
        found = re.findall(r"ERROR SUMMARY: (\d+) error", results.text(step))
        if results.status(step) != "ok":
            return f"{found[-1] if found else 'unknown'} errors: {results.steps[step]['what']}", False
        return f"{found[-1]} errors" if found else "no summary of errors", found[-1:] == ["0"]

    return judge


def metric(name, meets):
    """A metric of the profile of log3."""

    def judge(results):
        rows = list(csv.reader(text for text in results.text("profile-values").splitlines() if text.startswith('"')))
        values = dict(zip(rows[0], rows[2])) if len(rows) > 2 else {}
        if not re.fullmatch(r"[\d.,]+", values.get(name, "")):
            raise NotMeasured(f"the profile has no {name}")
        value = float(values[name].replace(",", ""))
        return f"{value:g}", meets(value)

    return judge


def conformance(results):
    yield "devices", "a usable GPU", usable_gpu
    yield "devices", "NVRTC", has_nvrtc
    for step in ["programs", "engine", "sql-files"]:
        yield step, "all tests pass on the GPU", tests_pass(step)
    for step in [f"formula-{number}-{result}" for number in [1, 2, 3] for result in ["collect", "sum"]]:
        for name in ["cuda", "cuda-resident"]:
            yield step, f"{name} has the result of the reference", agrees(step, name)
    yield "sql-reference", "SQL on the GPU has the rows of the interpreter, within 1e-12", same_rows
    yield "fault", "error 700 is reported, and the process does not use the GPU again", tests_pass("fault")
    yield "after-fault", "the next process uses the GPU", agrees("after-fault", "cuda")


def bandwidth(results):
    for step in [step for step in results.steps if step.startswith("log3-")]:
        rows = f"log3, {int(step.split('-')[1]):,} rows"
        yield step, "copies reach 70 % of the link", of_link(step)
        yield step, f"{rows}, resident: at least {100 * OF_COPY:.0f} % of a copy in GPU memory", of_copy(step)
        for kind, bound in [("pinned", PINNED_OF_BUS), ("ordinary", ORDINARY_OF_BUS)]:
            yield step, f"{rows}, host to host, {kind} memory: at most {bound} x the bus", of_bus(step, kind, bound)
    for kind in ["pinned", "ordinary"]:
        yield "chunks", f"{kind} memory: the default within 5 % of the best", default_chunks(f"{kind}_ms")


def compare(results):
    peers = {"arrays": ["cupy", "torch", "jax-gpu"], "sums": ["cupy", "torch", "jax-gpu"], "arrays-large": ["cupy", "jax-gpu"],
             "costly": ["cupy"]}
    for step, tools in peers.items():
        for name in ["cuda", "cuda-resident"]:
            yield step, f"{name} has the result of the reference", agrees(step, name)
        yield step, f"cuda at least {OF_CUPY:g} x as fast as cupy", as_fast(step, "cuda", "cupy", OF_CUPY)
        for tool in tools:
            resident = f"{tool}-resident"
            yield step, f"cuda-resident as fast as {resident}", as_fast(step, "cuda-resident", resident, 1.0)
    yield "auto", "auto selects the faster of GPU and CPU", auto_is_right


def sanitize(results):
    for step in [f"{check}-{what}" for check in ["memcheck", "initcheck"] for what in ["log3", "programs"]]:
        yield step, "0 errors", no_errors(step)
    dram, registers = "dram__throughput.avg.pct_of_peak_sustained_elapsed", "launch__registers_per_thread"
    # 90 % of a copy, which itself reaches about 90 % of the peak.
    yield "profile-values", "log3: at least 80 % of the peak of GPU memory", metric(dram, lambda value: value >= 80)
    yield "profile-values", "log3: at most 64 registers a thread", metric(registers, lambda value: value <= 64)


#: The expectations of each script: (step, expected, judge). A judge returns what was seen, and whether it is as expected.
SCRIPTS = {"conformance": conformance, "bandwidth": bandwidth, "compare": compare, "sanitize": sanitize}


def verdicts(folder, only=None):
    """The verdicts on a script's results, on all steps or one: dictionaries of step, expected, seen and verdict."""
    results, found = Results(folder), []
    for step, expected, judge in SCRIPTS[results.folder.resolve().name](results):
        if only not in (None, step):
            continue
        try:
            seen, met = judge(results)
            verdict = "met" if met else "NOT MET"
        except NotMeasured as reason:
            seen, verdict = str(reason), "not measured"
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            seen, verdict = f"the output cannot be read: {type(error).__name__}: {error}", "not measured"
        seen = seen if len(seen) <= 200 else f"{seen[:197]}..."
        found.append({"step": step, "expected": expected, "seen": seen, "verdict": verdict})
    return found


def main(arguments):
    if len(arguments) not in (1, 3) or arguments[1:2] not in ([], ["--step"]):
        sys.exit("usage: verdicts.py RESULTS [--step STEP]")
    folder, only = arguments[0], arguments[2] if arguments[1:] else None
    if Path(folder).resolve().name not in SCRIPTS:
        sys.exit(f"error: '{folder}' is no folder of results: its name is one of {', '.join(SCRIPTS)}")
    found = verdicts(folder, only)
    for one in found:
        where = "" if only else f"{one['step']}: "
        print(f"   {one['verdict']:<12} {where}expected {one['expected']}; seen: {one['seen']}")
    if only is None:
        (Path(folder) / "verdicts.json").write_text(json.dumps(found, indent=1) + "\n")
        counts = [sum(one["verdict"] == word for one in found) for word in ["met", "NOT MET", "not measured"]]
        print("{} expectations met, {} not met, {} not measured".format(*counts))


if __name__ == "__main__":
    main(sys.argv[1:])
