from constitution.problems import brief, missing


def test_an_error_is_one_line_and_never_nothing():
    assert brief(ValueError("no\n  such   model\n")) == "no such model"
    assert brief(ValueError("x" * 500)) == "x" * 200 and brief(ValueError("long"), 2) == "lo"
    assert brief(ValueError()) == brief(ValueError(" \n")) == "ValueError"


def test_what_an_extra_lacks_is_said_with_its_remedy():
    assert str(missing("--ray", "Ray", "ray")) == (
        "--ray: needs Ray, which is missing; pip install 'solon[ray]'"
    )
    assert "needs gguf, torch, which are missing" in str(missing("x", "gguf, torch", "embedded"))
