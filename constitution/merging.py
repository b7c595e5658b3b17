"""What `extends` means: constitutions merged in order, the later one winning."""

from collections.abc import Sequence

from constitution.schema import Constitution, Principle

__all__ = ["merge"]


def merge(constitutions: Sequence[Constitution]) -> Constitution:
    """Parents first, child last: the child's name, version and description.

    A principle replaces an earlier one of its id, whole and in its place; so does a stakeholder
    profile. The last preamble given stands. Examples follow one another, none twice. The result
    extends nothing: it is complete, and its hash does not depend on how it was split into files.
    """
    principles: dict[str, Principle] = {}
    for constitution in constitutions:
        principles |= {principle.id: principle for principle in constitution.principles}
    preambles = [constitution.preamble for constitution in constitutions if constitution.preamble]
    stakeholders = [constitution.stakeholders for constitution in constitutions]
    examples = [example for constitution in constitutions for example in constitution.few_shot]
    return constitutions[-1].model_copy(
        update={
            "extends": (),
            "preamble": preambles[-1] if preambles else None,
            "principles": tuple(principles.values()),
            "stakeholders": {name: one for each in stakeholders for name, one in each.items()},
            "few_shot": tuple(dict.fromkeys(examples)),
        }
    )
