"""``docs/receipts.md`` keeps its word: no public failure that the rules name is missing, and every test exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "receipts.md").read_text(encoding="utf-8")
RULES = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
ROWS = [row for row in PAGE.partition("## Known failures")[2].splitlines() if row.startswith("| ") and "`test_" in row]


def records(text: str) -> set[str]:
    """Public records that a text names: ``jasmin#586``, ``commit 34e13834``, ``msg02229``."""
    found = set()
    for project, more in re.findall(r"([A-Za-z][\w-]*(?: PR)?)((?: ?#\d+)+)", text):
        found |= {f"{project.removesuffix(' PR')}#{number}" for number in re.findall(r"\d+", more)}
    found |= {f"commit {commit}" for commit in re.findall(r"commit ([0-9a-f]{8})", text)}
    return found | set(re.findall(r"msg\d{5}", text))


def reasons() -> str:
    """Every "Why" of the rules."""
    return "\n".join(re.findall(r"^- \*Why\*: (.*?)(?=^- \*State\*)", RULES, re.MULTILINE | re.DOTALL))


def written_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}


def test_every_failure_that_a_rule_names_has_a_row():
    told = records("\n".join(row.split("|")[1] for row in ROWS))
    assert len(told) > 80
    assert records(reasons()) - told == set()
    assert told - records(reasons()) == set(), "and no row names what no rule does"


def test_every_test_that_the_page_names_exists():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - written_tests() == set()


def test_every_row_names_a_test_of_one_of_its_rules():
    for row in ROWS:
        _, _, _, rules, tests, _ = row.split("|")
        wanted = {f"r{number}" for number in re.findall(r"R(\d+)", rules)}
        shown = {part for test in re.findall(r"`test_(\w+)`", tests) for part in re.findall(r"r\d+", test)}
        assert wanted & shown, row


def test_the_commands_on_the_page_exist():
    told = set(re.findall(r"kvitto ([a-z-]+(?: [a-z-]+)*)", PAGE))
    known = ("link list", "link show", "link test", "link reload", "receipt parse", "receipt match", "receipt orphans")
    assert {one for one in known if not any(said.startswith(one) for said in told)} == set()
