"""Run where label-studio-sdk and argilla are installed: the tools' own code reads what was exported,
and writes what a review leaves. Reviewers prefer the longer reply, and find that it keeps to its
principle.

    python reviewed_by_tools.py EXPORTS OUT

EXPORTS has a directory `TOOL-QUEUE` for each tool and queue; OUT gets an export for each way back.
"""

import json
import sys
from pathlib import Path

USERS = ("8f2a0c7e-46a4-4a28-9a2c-8ee2a1b0b001", "8f2a0c7e-46a4-4a28-9a2c-8ee2a1b0b002")


def verdict(shown, number):
    """What the reviewers of the question with this number say; every seventh finds no difference."""
    if "response" in shown:
        return "keeps" if number % 7 else "unclear"
    a, b = len(shown["response_a"]), len(shown["response_b"])
    return "equal" if number % 7 == 0 or a == b else "A" if a > b else "B"


def label_studio(directory, out):
    """Its parser accepts the configuration, each task and each annotation; its converter exports."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    config = (directory / "labeling_config.xml").read_text(encoding="utf-8")
    tasks = json.loads((directory / "tasks.json").read_text(encoding="utf-8"))
    interface = LabelInterface(config)
    interface.validate()
    used = {tag.value_name for tag in interface.objects}
    assert used == set(tasks[0]["data"]) - {"item"}, used
    rows = []
    for number, task in enumerate(tasks):
        assert interface.validate_task(task), task
        said = verdict(task["data"], number)
        annotation = {
            "id": number + 1000,
            "result": list(results(interface, said)),
            "completed_by": {"id": 7, "email": "reviewer@example.org"},
            "was_cancelled": False,
            "created_at": "2026-03-14T09:26:53Z",
            "updated_at": "2026-03-14T09:26:53Z",
            "lead_time": 4.2,
        }
        assert interface.validate_annotation(annotation), annotation
        rows.append({"id": number, **task, "annotations": [annotation], "predictions": []})
    source = out / f"{directory.name}.source.json"
    source.write_text(json.dumps(rows), encoding="utf-8")
    converter = Converter(config, str(out))
    for format in ("JSON", "JSON_MIN"):
        converter.convert(source, str(out / f"{directory.name}.{format}"), format, is_dir=False)
    source.unlink()


def results(interface, said):
    """Regions by the tags' own `label`, which knows the value each of them holds."""
    if said in ("A", "B"):
        tag = interface.get_control("better")
        value = tag.label("left" if said == "A" else "right").value.model_dump()
        yield region(tag, value)
    else:
        tag = interface.get_control("equal" if said == "equal" else "verdict")
        yield region(tag, {"choices": [said]})
    yield region(interface.get_control("comment"), {"text": ["because"]})


def region(tag, value):
    return {
        "id": tag.name,
        "from_name": tag.name,
        "to_name": tag.to_name[0],
        "type": tag.tag.lower(),
        "value": value,
    }


def argilla(directory, out):
    """Its settings and records are loaded and ingested as on the way to a server, and dumped."""
    import argilla as rg
    from argilla._api._client import APIClient
    from argilla._models import DatasetModel
    from argilla.records._io import GenericIO, JsonIO

    APIClient._validate_connection = lambda self: None
    rg.Argilla(api_url="http://127.0.0.1:9", api_key="none")
    settings = rg.Settings.from_json(directory / ".argilla" / "settings.json")
    settings.validate()
    model = DatasetModel(**json.loads((directory / ".argilla" / "dataset.json").read_bytes()))
    dataset = rg.Dataset(name=model.name, settings=settings)
    records = JsonIO._records_from_json(directory / "records.json")
    assert len(dataset.records._ingest_records(records)) == len(records)
    names = {field.name for field in settings.fields}
    question = next(question for question in settings.questions if question.required)
    for number, record in enumerate(records):
        assert set(record.fields) == names, record
        assert set(record.metadata) == {item.name for item in settings.metadata}
        said = verdict(record.fields, number)
        assert said in question.labels, said
        for user in USERS:
            for name, value in ((question.name, said), ("comment", "because")):
                response = rg.Response(name, value, user_id=user, status="submitted")
                record.responses.add(response)
    JsonIO.to_json(records, out / f"{directory.name}.nested.json")
    flat = json.dumps(GenericIO.to_list(records, flatten=True), default=str)
    (out / f"{directory.name}.flat.json").write_text(flat, encoding="utf-8")


if __name__ == "__main__":
    exports, out = map(Path, sys.argv[1:])
    for queue in ("pairs", "escalated"):
        label_studio(exports / f"label-studio-{queue}", out)
        argilla(exports / f"argilla-{queue}", out)
