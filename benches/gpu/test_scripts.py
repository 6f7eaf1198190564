"""Tests of the scripts in this folder, with executables that are shell scripts: python3 test_scripts.py"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import results  # noqa: E402
import verdicts  # noqa: E402

NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA Sample, 580.1, 5, 16, 1000 MiB'\n"

#: The benchmark `gpu`: writes $REPORT to the file of --json.
GPU = '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = --json ] && printf %s "$REPORT" >"$2"; shift; done\n'


def bandwidths(resident=0.95, pinned=1.1, ordinary=1.5, h2d=50.0):
    size = {"rows": 1, "resident_of_device_copy": resident, "resident_gb_per_s": 4000.0, "resident_ms": 0.8, "cpu_ms": 9.0,
            "pinned_of_bus": pinned, "pinned_ms": 5.0, "ordinary_of_bus": ordinary, "ordinary_ms": 7.0}
    chunks = [{"chunk_rows": 1 << power, "default": power == 18, "pinned_ms": 5.0 + abs(power - 18), "ordinary_ms": 7.0}
              for power in [17, 18, 19]]
    return {"machine": {"cpu": "Sample", "cores": 16}, "rates": {"h2d": h2d, "d2h": 51.0, "device_copy": 4210.5}, "sizes": [size],
            "chunks": chunks}


def mode(name, median, status="ok", reason=None, **more):
    return {"mode": name, "status": status, "reason": reason, "median_ms": median, "max_ulp": 2, "sum": 1.0, "gpu": None} | more


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.binaries, self.out, self.tools = (self.folder / name for name in ["binaries", "out", "tools"])
        self.binaries.mkdir()
        self.tools.mkdir()
        self.executable(self.tools / "nvidia-smi", NVIDIA_SMI)

    def executable(self, path, text):
        path.write_text(text)
        path.chmod(0o755)

    def start(self, script, binaries=None, **environment):
        path = f"{self.tools}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "WARPFRAME_PYTHON": sys.executable, "WARPFRAME_QUICK": "", "TMPDIR": str(self.folder)} | environment
        command = [HERE / script, binaries or self.binaries, self.out]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run_script(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def archived(self, script):
        """The folder of an unpacked archive."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        with tarfile.open(self.out / f"{script}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return folder / script

    def found(self, folder, only=None):
        return {(one["step"], one["verdict"]) for one in verdicts.verdicts(folder, only)}

    def test_shell_syntax(self):
        for script in ["steps.sh", "pack", *verdicts.SCRIPTS]:
            subprocess.run(["bash", "-n", HERE / script], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "-x", *(HERE / script for script in ["steps.sh", "pack"])], check=True)

    def test_goals_are_judged(self):
        self.executable(self.binaries / "gpu", GPU)
        status, output = self.run_script("bandwidth", REPORT=json.dumps(bandwidths()))
        self.assertEqual(status, 0, output)
        self.assertEqual({verdict for _, verdict in self.found(self.archived("bandwidth"))}, {"met"}, output)
        self.assertIn("10 expectations met, 0 not met, 0 not measured", output)
        status, output = self.run_script("bandwidth", REPORT=json.dumps(bandwidths(0.8, 1.2, 1.7, 20.0)))
        # A goal that is not met is a result: no step has failed.
        self.assertEqual(status, 0, output)
        self.assertIn("2 expectations met, 8 not met, 0 not measured", output)
        self.assertIn("NOT MET      log3-100000000: expected log3, 100,000,000 rows, host to host, pinned memory: at most 1.15 x "
                      "the bus; seen: 1.20 x (5.000 ms; the CPU 9.000 ms)", output)

    def test_steps_that_fail_or_lack_something_do_not_stop_the_others(self):
        self.executable(self.tools / "nvidia-smi", "#!/bin/sh\necho broken; exit 3\n")
        status, output = self.run_script("bandwidth")
        self.assertEqual(status, 1, output)
        self.assertIn("FAILED: gpu: exit status 3", output)
        self.assertIn("SKIPPED: log3-10000000: there is no gpu", output)
        self.assertIn("0 expectations met, 0 not met, 10 not measured", output)
        steps = verdicts.Results(self.archived("bandwidth")).steps
        self.assertEqual([steps[step]["status"] for step in ["gpu", "chunks", "clocks"]], ["failed", "skipped", "failed"])

    def test_a_step_and_a_script_have_time_limits(self):
        self.executable(self.binaries / "gpu", "#!/bin/sh\necho begun; sleep 600\n")
        status, output = self.run_script("bandwidth", WARPFRAME_SCRIPT_LIMIT="7")
        self.assertEqual(status, 1, output)
        self.assertIn("FAILED: log3-10000000: stopped after", output)
        self.assertIn("SKIPPED: log3-100000000: the time of the script is used up", output)
        self.assertEqual((self.archived("bandwidth") / "log3-10000000.txt").read_text(), "begun\n")

    def test_a_stopped_script_leaves_its_results(self):
        self.executable(self.binaries / "gpu", f"#!/bin/sh\necho begun; touch {self.folder}/begun; sleep 20\n")
        for sent, status in [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]:
            process = self.start("bandwidth")
            while not (self.folder / "begun").exists():
                self.assertIsNone(process.poll())
                time.sleep(0.05)
            (self.folder / "begun").unlink()
            process.send_signal(sent)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=60), status)
            folder = self.archived("bandwidth")
            steps = verdicts.Results(folder).steps
            self.assertEqual(steps["gpu"]["status"], "ok")
            if sent == signal.SIGTERM:
                self.assertEqual(steps["log3-10000000"]["status"], "stopped")
                self.assertEqual((folder / "log3-10000000.txt").read_text(), "begun\n")

    def test_arguments(self):
        for binaries, words in [(self.folder / "none", "there is no"), (HERE / "pack", "is no archive of benches/gpu/pack")]:
            status, output = self.run_script("compare", binaries)
            self.assertEqual(status, 2, output)
            self.assertIn(words, output)

    def test_archives_are_unpacked(self):
        self.executable(self.binaries / "gpu", GPU)
        with tarfile.open(self.folder / "binaries.tar.xz", "w:xz") as archive:
            archive.add(self.binaries / "gpu", "gpu")
        status, output = self.run_script("bandwidth", self.folder / "binaries.tar.xz", REPORT=json.dumps(bandwidths()))
        self.assertEqual(status, 0, output)
        self.assertIn("10 expectations met", output)

    def results_of(self, script, steps, files):
        """A folder of results that is written here."""
        folder = self.folder / "written" / script
        folder.mkdir(parents=True)
        (folder / "steps.tsv").write_text("".join(f"{name}\t{status}\t1\twhat\n" for name, status in steps.items()))
        for name, content in files.items():
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return folder

    def test_tests_must_use_the_gpu(self):
        passed, unused = "test result: ok. 5 passed; 0 failed;", "SKIPPED: nothing is tested on a real GPU: none\n"
        for text, verdict in [
            (passed, "met"), (unused + passed, "NOT MET"), ("test result: FAILED. 4 passed; 1 failed;", "NOT MET"),
            ("test result: ok. 0 passed; 0 failed;", "NOT MET"), ("Segmentation fault", "NOT MET"),
        ]:
            folder = self.results_of("conformance", {"programs": "ok"}, {"programs.txt": text})
            self.assertEqual(self.found(folder, "programs"), {("programs", verdict)}, text)
            shutil.rmtree(folder)

    def test_sql_must_have_the_rows_of_the_reference(self):
        rows = "g,s\n0,1.5\n1,2.5\n"
        for other, verdict in [(rows, "met"), (rows.replace("2.5", "2.6"), "NOT MET"), ("g,s\n0,1.5\n", "NOT MET")]:
            folder = self.results_of("conformance", {"sql-gpu": "ok", "sql-reference": "ok"},
                                     {"sql-gpu.txt": rows, "sql-reference.txt": other})
            self.assertEqual(self.found(folder, "sql-reference"), {("sql-reference", verdict)})
            shutil.rmtree(folder)

    def test_the_process_after_a_fault_must_have_results(self):
        for one, verdict in [(mode("cuda", 1.0), "met"), (mode("cuda", None, "failed", "wrong answer"), "NOT MET"),
                             (mode("cuda", None, "skipped", "no GPU"), "not measured")]:
            folder = self.results_of("conformance", {"after-fault": "ok"}, {"after-fault.json": {"modes": [one]}})
            self.assertEqual(self.found(folder, "after-fault"), {("after-fault", verdict)})
            shutil.rmtree(folder)

    def comparison(self, cupy=30.0, cuda=8.0, resident=1.0):
        modes = [mode("parallel", 20.0), mode("cuda", cuda), mode("cuda-resident", resident), mode("cupy", cupy),
                 mode("cupy-resident", 1.5), mode("torch-resident", None, "skipped", "no PyTorch"),
                 mode("jax-gpu-resident", None, "failed", "it crashed")]
        return {"rows": 10_000_000, "modes": modes, "git_revision": "abc"}

    def test_comparisons_are_judged(self):
        auto = "log3[cuda Sample; GPU from 10 rows]"
        for report, text, counts in [
            (self.comparison(), auto, (5, 0, 2)),
            (self.comparison(cupy=20.0, resident=2.0), auto.replace("cuda", "native"), (2, 3, 2)),
        ]:
            folder = self.results_of("compare", {"arrays": "failed", "auto": "ok"}, {"arrays.json": report, "auto.txt": text})
            found = [one["verdict"] for one in verdicts.verdicts(folder) if one["step"] in ["arrays", "auto"]]
            self.assertEqual(tuple(found.count(word) for word in ["met", "NOT MET", "not measured"]), counts)
            shutil.rmtree(folder)
        # Evaluations by the CPU do not count as those of the GPU.
        report = self.comparison()
        report["modes"][1]["gpu"] = {"fallback_batches": 3}
        folder = self.results_of("compare", {"arrays": "ok"}, {"arrays.json": report})
        self.assertIn("the CPU evaluated 3 batches", [one["seen"] for one in verdicts.verdicts(folder, "arrays")][0])
        self.assertEqual(verdicts.verdicts(folder, "arrays")[0]["verdict"], "NOT MET")

    def test_sanitizers_and_profiles_are_judged(self):
        heads = '"ID","launch__registers_per_thread","dram__throughput.avg.pct_of_peak_sustained_elapsed"'
        files = {"memcheck-log3.txt": "===== ERROR SUMMARY: 0 errors\n", "initcheck-log3.txt": "===== ERROR SUMMARY: 2 errors\n",
                 "profile-values.txt": f'==PROF== read\n{heads}\n"","","%"\n"0","40","91.25"\n'}
        folder = self.results_of("sanitize", {"memcheck-log3": "ok", "initcheck-log3": "failed", "profile-values": "ok"}, files)
        self.assertEqual(self.found(folder), {
            ("memcheck-log3", "met"), ("initcheck-log3", "NOT MET"), ("memcheck-programs", "not measured"),
            ("initcheck-programs", "not measured"), ("profile-values", "met"),
        })

    def test_committed_results_are_made_of_archives(self):
        root = self.folder / "repository"
        (root / "docs").mkdir(parents=True)
        (root / "benches" / "results").mkdir(parents=True)
        page = root / "docs" / "gpu.md"
        page.write_text(f"before\n{results.BEGIN}\n{results.END}\nafter\n")
        self.executable(self.binaries / "gpu", GPU)
        self.run_script("bandwidth", REPORT=json.dumps(bandwidths()))
        compare = self.results_of("compare", {"gpu": "ok", "arrays": "ok"}, {
            "gpu.txt": "NVIDIA Sample, 580.1, 5, 16, 1000 MiB\n", "started.txt": "2026-01-02T00:00:00Z\n",
            "arrays.json": self.comparison()})
        with tarfile.open(self.out / "compare.tar.gz", "w:gz") as archive:
            archive.add(compare, "compare")
        results.main([str(self.out / f"{script}.tar.gz") for script in ["bandwidth", "compare"]], root)
        [file] = (root / "benches" / "results").glob("gpu-nvidia-sample-*.json")
        found = json.loads(file.read_text())
        self.assertEqual(found["gpu"]["driver"], "580.1")
        self.assertEqual(found["scripts"]["bandwidth"]["reports"]["log3-100000000"]["rates"]["h2d"], 50.0)
        for words in ["NVIDIA Sample", "Sample, 16 cores", ", abc |", "| 95 % | 1.10 × | 1.50 × | 3.8 × |", "before", "after"]:
            self.assertIn(words, page.read_text())
        results.main(["--check"], root)
        page.write_text(page.read_text().replace("95 %", "99 %"))
        with self.assertRaisesRegex(SystemExit, "is not that of the results"):
            results.main(["--check"], root)
        # A simulated driver has no nvidia-smi: its results are never committed.
        self.executable(self.tools / "nvidia-smi", "#!/bin/sh\nexit 9\n")
        self.run_script("bandwidth", REPORT=json.dumps(bandwidths()))
        with self.assertRaisesRegex(SystemExit, "does not name a GPU"):
            results.main([str(self.out / "bandwidth.tar.gz")], root)


if __name__ == "__main__":
    unittest.main()
