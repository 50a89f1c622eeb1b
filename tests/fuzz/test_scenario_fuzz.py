"""Any table makes a scenario or is refused with key, value and reason; nothing else ever comes out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvitto.core.errors import SettingsError, SettingsProblem
from kvitto.simulator import Scenario, make_scenario
from kvitto.simulator.scenario import SECTIONS

KEYS = sorted({key for _, model in SECTIONS for key in model.model_fields})
WORDS = ["fixed", "uniform", "lognormal", "none", "close", "hex", "uuid", "data_sm", "DELIVERED", "NONE", "{id}", "UTC"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([0, 1, 0.5, 100])
    | st.sampled_from(WORDS)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=6))
def test_any_table_is_a_scenario_or_refused_by_key(table):
    problems: tuple[SettingsProblem, ...] = ()
    try:
        made: object = make_scenario(table)
    except SettingsError as error:
        made, problems = None, error.problems
    assert isinstance(made, Scenario) or problems
    assert all(problem.key and problem.reason and len(problem.value) <= 200 for problem in problems)
