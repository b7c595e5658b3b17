"""Who may ask, how often, and what is kept of a key."""

import pytest

from constitution.problems import InputError
from engine.guard.tenants import RateLimit, Tenant, Tenants, hashed_key, new_key, read_tenants
from tests.engine.builders import constitution

RULES = constitution("one")


def test_a_key_is_known_by_its_hash_alone(tmp_path):
    key = new_key()
    assert len(key) > 40
    file = tmp_path / "tenants.yaml"
    file.write_text(f"tenants:\n  shop: {{key: '{hashed_key(key)}', requests_per_minute: 5}}\n")
    tenants = Tenants(read_tenants(file, RULES))
    assert key not in file.read_text(encoding="utf-8")
    assert tenants.find(key) == "shop"
    assert tenants.named("shop").requests_per_minute == 5
    assert tenants.find(new_key()) is None
    assert tenants.find("") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tenants: {}", "names no tenant"),
        ("tenants: {shop: {}}", "has no key"),
        ("tenants: {shop: {key: my-key}}", "key"),
        ("tenants: {a: {key: 'sha256:%s'}, b: {key: 'sha256:%s'}}" % (("0" * 64,) * 2), "key of a"),
        ("tenants: {a: {key: 'sha256:%s', stakeholder: vip}}" % ("0" * 64), "no stakeholder"),
        ("tenants: {a: {secret: 1}}", "unknown key"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, told):
    file = tmp_path / "tenants.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_tenants(file, RULES)


def test_a_bucket_holds_a_minute_and_fills_steadily():
    now = [0.0]
    limit = RateLimit(6, clock=lambda: now[0])
    assert [limit.take() for _ in range(7)] == [0] * 6 + [10]
    now[0] = 9.5
    assert limit.take() == 1
    now[0] = 10.0
    assert limit.take() == 0
    now[0] = 10_000.0
    assert [limit.take() for _ in range(7)][-2:] == [0, 10]


def test_each_tenant_has_its_own_rate():
    tenants = Tenants({"a": Tenant(requests_per_minute=1), "b": Tenant()}, per_minute=2)
    assert [tenants.wait("a") for _ in range(2)] == [0, 60]
    assert [tenants.wait("b") for _ in range(3)] == [0, 0, 30]


def test_without_tenants_anyone_may_ask():
    assert Tenants({}).find("whatever") == "anyone"
