from constitution.problems import brief


def test_an_error_is_one_line_and_never_nothing():
    assert brief(ValueError("no\n  such   model\n")) == "no such model"
    assert brief(ValueError("x" * 500)) == "x" * 200 and brief(ValueError("long"), 2) == "lo"
    assert brief(ValueError()) == brief(ValueError(" \n")) == "ValueError"
