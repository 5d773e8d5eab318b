"""Runs that were changed at random: none makes seqlm fail, hang, or give another answer silently.

`python -m benchmarks.fuzz_runs` tries 20 000; SEQLM_FUZZ is the number tried here.
"""

from __future__ import annotations

import os

from tests.runs.untrusted.fuzzer import Fuzzer

MUTATIONS = int(os.environ.get("SEQLM_FUZZ", "1000"))


def test_no_change_of_a_run_is_an_internal_error_a_hang_or_a_silent_change(workplace):
    fuzzer = Fuzzer(workplace / "runs")
    fuzzer.run(range(MUTATIONS))
    assert [fault[:4] for fault in fuzzer.faults] == [], fuzzer.faults[0].text
    assert fuzzer.outcomes["refused"] > 0.5 * MUTATIONS
    assert fuzzer.outcomes["read"] > 0.05 * MUTATIONS
    assert fuzzer.outcomes["told"] > 0.01 * MUTATIONS
