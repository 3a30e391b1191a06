"""The form of a node: a field for every parameter, and nothing lost between the form and the node."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fta.healing.runners import RUNNERS
from fta.web.forms.node_params import form_of
from fta.web.forms.packages import NodeForm


def test_it_has_a_field_for_every_declared_parameter() -> None:
    for kind, runner in RUNNERS.items():
        assert set(form_of(kind).base_fields) == {"extra", *(field.name for field in runner.fields)}


SCALARS = st.one_of(st.text("ab1 =:,\"'-\n", max_size=6), st.integers(-9, 9), st.booleans(), st.none())


VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text("ab= :", min_size=1, max_size=3), SCALARS, max_size=3),
)


@settings(deadline=None)  # it is slow while other tests run beside it
@given(st.data())
def test_it_loses_no_parameter_between_the_form_and_the_node(data: st.DataObject) -> None:
    offered = {"policy", "channels"}  # what these offer is in the database
    kinds = [kind for kind, runner in RUNNERS.items() if not offered & {field.kind for field in runner.fields}]
    kind = data.draw(st.sampled_from(kinds))
    names = sorted({name.partition(".")[0] for name in form_of(kind).base_fields} - {"extra"} | {"other"})
    filled = VALUES.filter(lambda value: value not in (None, "", [], [""], {}))
    params = data.draw(st.dictionaries(st.sampled_from(names), filled, max_size=4))
    unbound = NodeForm.stored("n", {"id": 1, "type": kind, "params": params}).params
    values = {field.html_name: field.value() for field in unbound if field.value() is not None}
    posted = {name: str(value).replace("\n", "\r\n") for name, value in values.items()}  # as a browser does

    form = form_of(kind)(posted, prefix="n-p")

    assert form.is_valid(), form.errors
    assert form.params() == params
